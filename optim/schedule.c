/* The learning rate over time. */
#include <math.h>
#include <reel/optim.h>

double reel_cosine_lr(int64_t step, double base_lr, int64_t warmup_steps, int64_t total_steps,
                      double min_ratio) {
    if (step < warmup_steps)
        return base_lr * (double)step / (double)warmup_steps;
    const int64_t falling_steps = total_steps > warmup_steps ? total_steps - warmup_steps : 1;
    const double progress = (double)(step - warmup_steps) / (double)falling_steps;
    return base_lr * (min_ratio + fmax(0, (1 - min_ratio) * 0.5 * (1 + cos(M_PI * progress))));
}
