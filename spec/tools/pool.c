/*
** pool: runs the jobs of a file, so many at once, each a shell command in a process group of its own.
**
** usage: pool AT_ONCE BOUND FILE         a job is one line of FILE: OUTPUT TAB COMMAND
**
** Each job's standard output and error go into its file OUTPUT, its input is empty. When one ends, a line
** "NUMBER STATUS SECONDS" is printed: its place in the file from 1, its exit status (128 + N for signal N), how
** long it took. A job that takes more than BOUND seconds is ended. On SIGINT, SIGTERM or SIGHUP, and when the
** process that started it is gone however that went, no job is left: the groups are told to end, then killed; on
** Linux those, too, that left their group. No part of the library.
*/
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#define GRACE 5.0
enum { AT_ONCE_MAX = 64, LINE = 16384 };

struct job {
  pid_t pid; /* also its process group; 0 where none runs */
  int number;
  double since;
  bool told; /* to end, because its time is over */
};

static struct job jobs[AT_ONCE_MAX];
static int running;
static volatile sig_atomic_t told_to_end;

static void on_signal(int number) {
  told_to_end = number;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void nap(void) {
  struct timespec t = {0, 10 * 1000000L};
  nanosleep(&t, NULL);
}

static void become(const char *output, const char *command) {
  int null = open("/dev/null", O_RDONLY), out;
  setpgid(0, 0);
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  signal(SIGHUP, SIG_DFL);
  out = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (null < 0 || out < 0) _exit(126);
  dup2(null, 0);
  dup2(out, 1);
  dup2(out, 2);
  if (out > 2) close(out);
  if (null > 2) close(null);
  execl("/bin/sh", "sh", "-c", command, (char *)NULL);
  _exit(127);
}

static bool start(char *line, int number) {
  char *tab = strchr(line, '\t');
  struct job *job = jobs;
  if (tab == NULL) return false;
  *tab = '\0';
  line[strcspn(line, "\n")] = '\0';
  tab[1 + strcspn(tab + 1, "\n")] = '\0';
  while (job->pid != 0) job++;
  job->pid = fork();
  if (job->pid == 0) become(line, tab + 1);
  if (job->pid < 0) {
    job->pid = 0;
    return false;
  }
  setpgid(job->pid, job->pid); /* whoever of the two comes first */
  job->number = number;
  job->since = now();
  job->told = false;
  running++;
  return true;
}

static void ended(pid_t pid, int status) {
  int i;
  for (i = 0; i < AT_ONCE_MAX; i++) {
    if (jobs[i].pid != pid) continue;
    printf("%d %d %.1f\n", jobs[i].number,
           WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status),
           now() - jobs[i].since);
    fflush(stdout);
    jobs[i].pid = 0;
    running--;
  }
}

/* Who has ended is told of; false once there is no child at all, adopted ones included. */
static bool reap(void) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) ended(pid, status);
  return pid == 0 || errno != ECHILD;
}

static void signal_groups(int number) {
  int i;
  for (i = 0; i < AT_ONCE_MAX; i++) {
    if (jobs[i].pid != 0) kill(-jobs[i].pid, number);
  }
}

/* Those whose parent ended and that came to us: only Linux gives them to somebody who can name them. */
static void signal_adopted(int number) {
#ifdef __linux__
  char path[64];
  long child;
  FILE *f;
  sprintf(path, "/proc/self/task/%d/children", (int)getpid());
  if ((f = fopen(path, "r")) == NULL) return;
  while (fscanf(f, "%ld", &child) == 1) kill((pid_t)child, number);
  fclose(f);
#else
  (void)number;
#endif
}

static void end_all(void) {
  double begin = now();
  while (reap()) {
    int number = now() - begin > GRACE ? SIGKILL : SIGTERM;
    signal_groups(number);
    signal_adopted(number);
    nap();
  }
}

static void end_late(double bound) {
  int i;
  for (i = 0; i < AT_ONCE_MAX; i++) {
    double took = jobs[i].pid != 0 ? now() - jobs[i].since : 0;
    if (took > bound + GRACE) {
      kill(-jobs[i].pid, SIGKILL);
    } else if (took > bound && !jobs[i].told) {
      jobs[i].told = true;
      kill(-jobs[i].pid, SIGTERM);
    }
  }
}

static void prepare(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGHUP, &action, NULL);
  signal(SIGPIPE, SIG_IGN); /* its reader is gone, then so is its parent */
#ifdef __linux__
  prctl(PR_SET_CHILD_SUBREAPER, 1);
#endif
}

int main(int argc, char **argv) {
  static char line[LINE];
  pid_t parent = getppid();
  int at_once, number = 0;
  double bound;
  bool more = true;
  FILE *file;
  if (argc != 4 || (file = fopen(argv[3], "r")) == NULL) return 2;
  fcntl(fileno(file), F_SETFD, FD_CLOEXEC);
  at_once = atoi(argv[1]);
  bound = atof(argv[2]);
  if (at_once < 1) at_once = 1;
  if (at_once > AT_ONCE_MAX) at_once = AT_ONCE_MAX;
  prepare();
  while (!told_to_end && getppid() == parent && (more || running > 0)) {
    while (more && running < at_once) {
      more = fgets(line, sizeof line, file) != NULL;
      if (more && !start(line, ++number)) told_to_end = SIGTERM;
    }
    reap();
    end_late(bound);
    nap();
  }
  end_all();
  return told_to_end ? 128 + told_to_end : 0;
}
