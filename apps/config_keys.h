/* The table of every configuration key: the one place where a key is named, typed, limited and explained.
 *
 * It is expanded into the struct train_config (config.h), the defaults, the reader and its checks (config.c)
 * and the dump and the help (config_text.c). To add a key, add a line here.
 *
 *     X(name, TYPE, "default as one would write it in YAML", "one line of help")
 *
 * TYPE is one of
 *     BOOL                    bool
 *     INT(low, high)          int64_t within low .. high
 *     INT_OR_NULL(low, high)  the same, low - 1 when the key is null
 *     FLOAT(low, high)        double, finite, within low .. high
 *     STRING                  char *, NULL when the key is null
 *     LIST                    config_strings
 *     INTS(low, high)         config_ints, each within low .. high
 *     PERIOD(low, high)       config_period: steps `500` or minutes `10min`, each within low .. high, or null
 *     WORD(type)              one word of an enumeration below
 *     WORDS(type)             a set of such words: bit i stands for the i-th
 *     EVALUATORS              config_evaluators, each a map of CONFIG_EVALUATOR_KEYS
 *
 * Names and defaults are those of the published TRM code (config/cfg_pretrain.yaml, config/arch/trm.yaml and
 * the classes that read them) where it has the key; `data_paths` and `evaluators` start empty here. Defaults
 * of the keys of `arch` that depend on the architecture stand in REEL_ARCHITECTURES, in <reel/model.h>: here
 * are those of trm. */
#ifndef CONFIG_KEYS_H
#define CONFIG_KEYS_H

/* clang-format off */

/* ---- words: W(enumerator, "word", reason why this version refuses it, or NULL) ----------------------- */

#ifdef REEL_CUDA_BACKEND
#define CONFIG_CUDA_REFUSAL NULL
#else
#define CONFIG_CUDA_REFUSAL "this build has no CUDA; use device: cpu"
#endif

/* Models have the published names, "recursive_reasoning." NAME "@" CLASS of REEL_ARCHITECTURES, and the short
 * ones that `arch=NAME` takes. Those of HRM's own repository mean the same. A(word, the word it stands for) */
#define CONFIG_MODEL_ALIASES(A)                                                                              \
    A("hrm_v1", "hrm")                                                                                       \
    A("hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1", "hrm")

#define CONFIG_LOSS_HEADS(W)                                                                                 \
    W(CONFIG_LOSS_HEAD_ACT, "losses@ACTLossHead", NULL)

#define CONFIG_LOSSES(W)                                                                                     \
    W(CONFIG_LOSS_STABLEMAX, "stablemax_cross_entropy", NULL)                                                \
    W(CONFIG_LOSS_SOFTMAX,   "softmax_cross_entropy", NULL)

#define CONFIG_POSITIONS(W)                                                                                  \
    W(CONFIG_POSITIONS_ROPE,    "rope", NULL)                                                                \
    W(CONFIG_POSITIONS_LEARNED, "learned", NULL)                                                             \
    W(CONFIG_POSITIONS_NONE,    "none", NULL)

#define CONFIG_DTYPES(W)                                                                                     \
    W(CONFIG_DTYPE_BFLOAT16, "bfloat16", NULL)                                                               \
    W(CONFIG_DTYPE_FLOAT32,  "float32", NULL)                                                                \
    W(CONFIG_DTYPE_FLOAT64,  "float64", NULL)                                                                \
    W(CONFIG_DTYPE_FLOAT16,  "float16", "its range needs loss scaling; use bfloat16 or float32")

#define CONFIG_OPTIMIZERS(W)                                                                                 \
    W(CONFIG_OPTIMIZER_ADAM_ATAN2, "adam_atan2", NULL)                                                       \
    W(CONFIG_OPTIMIZER_ADAMW,      "adamw", NULL)

/* Task evaluators: MODULE@CLASS as published. */
#define CONFIG_EVALUATOR_KINDS(W)                                                                            \
    W(CONFIG_EVALUATOR_ARC, "arc@ARC", NULL)

/* What an evaluation can save of every test example: of the batch, then of the model. */
#define CONFIG_OUTPUTS(W)                                                                                    \
    W(CONFIG_OUTPUT_INPUTS,             "inputs", NULL)                                                      \
    W(CONFIG_OUTPUT_LABELS,             "labels", NULL)                                                      \
    W(CONFIG_OUTPUT_PUZZLE_IDENTIFIERS, "puzzle_identifiers", NULL)                                          \
    W(CONFIG_OUTPUT_LOGITS,             "logits", NULL)                                                      \
    W(CONFIG_OUTPUT_PREDS,              "preds", NULL)                                                       \
    W(CONFIG_OUTPUT_Q_HALT_LOGITS,      "q_halt_logits", NULL)                                               \
    W(CONFIG_OUTPUT_Q_CONTINUE_LOGITS,  "q_continue_logits", NULL)                                           \
    W(CONFIG_OUTPUT_STEPS,              "steps", NULL)

#define CONFIG_DEVICES(W)                                                                                    \
    W(CONFIG_DEVICE_CPU,  "cpu", NULL)                                                                       \
    W(CONFIG_DEVICE_AUTO, "auto", NULL)                                                                      \
    W(CONFIG_DEVICE_CUDA, "cuda", CONFIG_CUDA_REFUSAL)

/* ---- keys -------------------------------------------------------------------------------------------- */

/* Integers also travel through JSON, whose readers keep 53 bits. */
#define CONFIG_INT_MAX   9007199254740991
/* A step is a 32-bit word of the random numbers' counter. */
#define CONFIG_STEPS_MAX 4294967295

#define CONFIG_RUN_KEYS(X)                                                                                   \
    X(data_paths,              LIST,                                  "[]",                                  \
      "training data, mixed: folders, CSV files, arc:PREFIX, sudoku:SIDE:COUNT or maze:SIDE:COUNT")          \
    X(data_path,               STRING,                                "null",                                \
      "HRM's name of data_paths with one entry")                                                             \
    X(data_paths_test,         LIST,                                  "[]",                                  \
      "test data, of the same forms; empty: what folders and arc:PREFIX bring of their own")                 \
    X(evaluators,              EVALUATORS,                            "[]",                                  \
      "task evaluators, such as [{name: arc@ARC}], over the test data")                                      \
    X(global_batch_size,       INT(1, 1048576),                       "768",                                 \
      "examples per optimizer step")                                                                         \
    X(micro_batch_size,        INT(0, 1048576),                       "0",                                   \
      "of these, how many have their gradients taken at once; 0: on a CPU as suits it, on a GPU all")        \
    X(epochs,                  INT(1, 1000000000),                    "100000",                              \
      "times that every puzzle is drawn")                                                                    \
    X(max_steps,               INT_OR_NULL(0, CONFIG_STEPS_MAX),      "null",                                \
      "stop after so many steps, schedule unchanged; 0: build everything, train nothing; null: off")         \
    X(eval_interval,           INT_OR_NULL(1, 1000000000),            "10000",                               \
      "epochs between evaluations, a divisor of epochs; null: once, at the end")                             \
    X(min_eval_interval,       INT(0, 1000000000),                    "0",                                   \
      "evaluations to skip at the beginning")                                                                \
    X(eval_max_examples,       INT(0, CONFIG_INT_MAX),                "0",                                   \
      "test examples per evaluation, the first so many of each set; 0: all")                                 \
    X(checkpoint_every_eval,   BOOL,                                  "True",                                \
      "save weights after every evaluation and not only at the end")                                         \
    X(checkpoint_every,        PERIOD(1, 1000000000),                 "null",                                \
      "besides, save weights and state after every so many steps, 500, or minutes, 10min; null: off")        \
    X(keep_checkpoints,        INT_OR_NULL(1, 1000000000),            "null",                                \
      "keep the last so many step_N files and the one that solved most test puzzles; null: keep all")        \
    X(eval_save_outputs,       WORDS(config_output),                  "[]",                                  \
      "what each evaluation saves of its last supervision step, as step_N_all_preds/NAME.npy")               \
    X(num_aug,                 INT_OR_NULL(0, 1000000000),            "null",                                \
      "variants of each training puzzle besides itself; null: as many as there are, for a Sudoku no end")    \
    X(optimizer,               WORD(config_optimizer),                "adam_atan2",                          \
      "optimizer of the weights")                                                                            \
    X(lr,                      FLOAT(0, 1000),                        "1e-4",                                \
      "learning rate of the weights")                                                                        \
    X(lr_min_ratio,            FLOAT(0, 1),                           "1.0",                                 \
      "the cosine schedule ends at this part of lr; 1: constant after warm-up")                              \
    X(lr_warmup_steps,         INT(0, CONFIG_STEPS_MAX),              "2000",                                \
      "steps over which the learning rates grow from 0")                                                     \
    X(beta1,                   FLOAT(0, 0.9999999),                   "0.9",                                 \
      "decay of the optimizer's first moment")                                                               \
    X(beta2,                   FLOAT(0, 0.9999999),                   "0.95",                                \
      "decay of the optimizer's second moment")                                                              \
    X(adamw_eps,               FLOAT(1e-30, 1),                       "1e-8",                                \
      "added to the denominator of adamw; adam_atan2 has none")                                              \
    X(weight_decay,            FLOAT(0, 1000),                        "0.1",                                 \
      "decoupled weight decay of the weights")                                                               \
    X(grad_clip,               FLOAT(0, 1000000),                     "0",                                   \
      "scale gradients down to this global norm; 0: off")                                                    \
    X(puzzle_emb_lr,           FLOAT(0, 1000),                        "1e-2",                                \
      "learning rate of the puzzle embeddings (sign-SGD)")                                                   \
    X(puzzle_emb_weight_decay, FLOAT(0, 1000),                        "0.1",                                 \
      "weight decay of the puzzle embeddings")                                                               \
    X(freeze_weights,          BOOL,                                  "False",                               \
      "train the puzzle embeddings alone")                                                                   \
    X(ema,                     BOOL,                                  "False",                               \
      "evaluate and save a moving average of the weights")                                                   \
    X(ema_rate,                FLOAT(0, 0.9999999),                   "0.999",                               \
      "part of the average that stays at each step")                                                         \
    X(profile,                 BOOL,                                  "False",                               \
      "end by showing where the time of the training steps went, op by op")                                  \
    X(demo,                    BOOL,                                  "False",                               \
      "end by solving a test Sudoku in the terminal, board by board")                                        \
    X(seed,                    INT(0, CONFIG_INT_MAX),                "0",                                   \
      "key of every random draw")                                                                            \
    X(device,                  WORD(config_device),                   "auto",                                \
      "where to compute; auto: cuda where build and machine have it, else cpu")                              \
    X(threads,                 INT(0, 1024),                          "0",                                   \
      "CPU threads; 0: as many as this process may use; results do not depend on it")                        \
    X(gemm_choices,            STRING,                                "null",                                \
      "on a GPU, algorithms of matrix products to take: a file of bench_step --tune or of another run")      \
    X(project_name,            STRING,                                "null",                                \
      "first folder below checkpoints/; null: from the data's name")                                         \
    X(run_name,                STRING,                                "null",                                \
      "second folder; null: from the configuration and seed")                                                \
    X(run_dir,                 STRING,                                "null",                                \
      "folder of the run; null: checkpoints/PROJECT/RUN")                                                    \
    X(checkpoint_path,         STRING,                                "null",                                \
      "published name of run_dir")                                                                           \
    X(load_checkpoint,         STRING,                                "null",                                \
      "weights to start from")                                                                               \
    X(resume,                  STRING,                                "null",                                \
      "auto: continue the run in run_dir, begin it where there is none; DIR: continue the run in DIR, with " \
      "its own configuration where no file is given")

/* Keys that a run may change when it continues, since they change neither weights nor results, or but their
 * rounding: what it is called, who computes it, how long, and what is kept and shown of it. C(key) */
#define CONFIG_CHANGEABLE_KEYS(C)                                                                            \
    C(project_name) C(run_name) C(run_dir) C(checkpoint_path) C(resume) C(device) C(threads) C(gemm_choices) \
    C(micro_batch_size) C(max_steps) C(checkpoint_every_eval) C(checkpoint_every) C(keep_checkpoints)        \
    C(eval_save_outputs) C(profile) C(demo)

#define CONFIG_ARCH_KEYS(X)                                                                                  \
    X(name, WORD(config_model), "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1",                 \
      "the model, with its defaults; arch=NAME does the same")                                               \
    X(H_cycles,                INT(1, 1024),                          "3",                                   \
      "recursions per supervision step; the last one has a gradient")                                        \
    X(L_cycles,                INT(1, 1024),                          "6",                                   \
      "updates of z_L per recursion; at most 6 in trm_hier6")                                                \
    X(H_layers,                INT(0, 1024),                          "0",                                   \
      "blocks of H_level; only hrm and transformers_baseline read it, as published")                         \
    X(L_layers,                INT(1, 1024),                          "2",                                   \
      "blocks of L_level; transformers_baseline has none")                                                   \
    X(hidden_size,             INT(1, 65536),                         "512",                                 \
      "width of the network")                                                                                \
    X(num_heads,               INT(1, 65536),                         "8",                                   \
      "attention heads of floor(hidden_size / num_heads) each")                                              \
    X(expansion,               FLOAT(0.001, 1024),                    "4",                                   \
      "inner width of SwiGLU = expansion * width * 2/3, rounded up")                                         \
    X(round_width,             INT(1, 65536),                         "256",                                 \
      "inner widths are rounded up to a multiple of this")                                                   \
    X(mlp_t,                   BOOL,                                  "False",                               \
      "mix tokens by SwiGLU over the sequence and not by attention")                                         \
    X(pos_encodings,           WORD(config_positions),                "rope",                                \
      "position encoding")                                                                                   \
    X(rope_theta,              FLOAT(1, 1e12),                        "10000.0",                             \
      "base of the rotary angles")                                                                           \
    X(rms_norm_eps,            FLOAT(0, 1),                           "1e-5",                                \
      "added to the mean square in rms_norm")                                                                \
    X(forward_dtype,           WORD(config_dtype),                    "bfloat16",                            \
      "type that the network computes in")                                                                   \
    X(puzzle_emb_ndim,         INT(0, 16777216),                      "${.hidden_size}",                     \
      "numbers in a puzzle's embedding; 0: no puzzle embedding")                                             \
    X(puzzle_emb_len,          INT(0, 65536),                         "16",                                  \
      "tokens in front that hold it; 0: as few as hold puzzle_emb_ndim")                                     \
    X(halt_max_steps,          INT(1, 65535),                         "16",                                  \
      "supervision steps before an example is replaced")                                                     \
    X(halt_exploration_prob,   FLOAT(0, 1),                           "0.1",                                 \
      "chance that an example must take a random minimum of steps")                                          \
    X(act_enabled,             BOOL,                                  "True",                                \
      "False: in training, too, every example takes halt_max_steps")                                         \
    X(act_inference,           BOOL,                                  "False",                               \
      "published for halting in evaluation; only False here: every example takes halt_max_steps")            \
    X(no_ACT_continue,         BOOL,                                  "True",                                \
      "train no continue head and halt without it; transformers_baseline halts by it all the same")          \
    X(one_step_gradient,       BOOL,                                  "False",                               \
      "no gradient but for the last update of z_L and of z_H")                                               \
    X(separate_networks,       BOOL,                                  "False",                               \
      "update z_H by a network of its own, H_level, of L_layers blocks")

#define CONFIG_LOSS_KEYS(X)                                                                                  \
    X(name,                    WORD(config_loss_head),                "losses@ACTLossHead",                  \
      "the loss head")                                                                                       \
    X(loss_type, WORD(config_loss), "stablemax_cross_entropy",                                               \
      "loss of the predicted tokens")

/* Of one evaluator; names and defaults are those of the published class (evaluators/arc.py). */
#define CONFIG_EVALUATOR_KEYS(X)                                                                             \
    X(name,                    WORD(config_evaluator_kind),           "arc@ARC",                             \
      "the evaluator")                                                                                       \
    X(submission_K,            INT(1, 1000),                          "2",                                   \
      "attempts at each test pair in submission.json")                                                       \
    X(pass_Ks,                 INTS(1, 1000000),                      "[1, 2, 5, 10, 100, 1000]",            \
      "K of each pass@K")                                                                                    \
    X(aggregated_voting,       BOOL,                                  "True",                                \
      "let the votes of all evaluations of a run count")

/* clang-format on */
#endif
