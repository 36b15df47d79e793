/* Telling CSV files of mazes from those of Sudokus. */
#ifndef REEL_DATA_MAZE_CSV_H
#define REEL_DATA_MAZE_CSV_H

/* 1 if the first question of the file looks like a maze. Whatever is wrong with the file, its reader says. */
int reel__is_maze_csv(const char *path);

#endif
