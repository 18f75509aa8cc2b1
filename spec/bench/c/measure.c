/* Runs one program and says what it cost: processor time of it and its children, wall time, peak
** memory.
**
** For programs that are not ours and print no result line. The figures hold its whole life,
** start-up included. measure COMMAND [ARGUMENT...]: the program's own output passes through; the
** last line is  measure cpu= wall= rss=
*/
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static double seconds(struct timeval t) {
  return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv) {
  double began = bench_wall(), wall;
  struct rusage use;
  int status = 0;
  pid_t child = fork();
  if (argc < 2 || child < 0) bench_die("fork");
  if (child == 0) {
    execvp(argv[1], argv + 1);
    bench_die(argv[1]);
  }
  if (wait4(child, &status, 0, &use) != child) bench_die("wait4");
  wall = bench_wall() - began;
  printf("measure cpu=%.6f wall=%.6f rss=%ld\n", seconds(use.ru_utime) + seconds(use.ru_stime),
         wall, use.ru_maxrss);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
