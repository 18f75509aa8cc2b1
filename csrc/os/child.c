/*
** child.c: posix_spawn(3), and waitpid(2) for what came of it.
*/
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1 /* environ, posix_spawn_file_actions_addclosefrom_np */
#endif

#include "os/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/home.h"

enum { OURS, ITS, WORDS, ITS_WORDS, ENDS };

/* --- descriptors ----------------------------------------------------------------------------- */

static void close_all(int *fds) {
  int i, saved = errno;
  for (i = 0; i < ENDS; i++) {
    if (fds[i] >= 0) close(fds[i]);
    fds[i] = -1;
  }
  errno = saved;
}

/* Above the standard ones: a process that has closed those would get them here, and dup2 onto
** themselves would leave them close-on-exec. */
static bool lift(int *fd) {
  int high = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
  if (high < 0) return false;
  close(*fd);
  *fd = high;
  return true;
}

/* Close-on-exec from the start where that can be: another thread may fork at any time. */
static bool open_pairs(int *fds) {
#if defined(SOCK_CLOEXEC) && defined(__linux__)
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, &fds[OURS]) == 0 &&
         pipe2(&fds[WORDS], O_CLOEXEC) == 0;
#else
  return socketpair(AF_UNIX, SOCK_STREAM, 0, &fds[OURS]) == 0 && pipe(&fds[WORDS]) == 0;
#endif
}

static bool open_ends(int *fds) {
  int i;
  for (i = 0; i < ENDS; i++) fds[i] = -1;
  if (!open_pairs(fds)) return false;
  for (i = 0; i < ENDS; i++) {
    if (!lift(&fds[i])) return false;
  }
  return fcntl(fds[OURS], F_SETFL, O_NONBLOCK) == 0 && fcntl(fds[WORDS], F_SETFL, O_NONBLOCK) == 0;
}

/* --- starting -------------------------------------------------------------------------------- */

/* What the program finds: three descriptors, no signal blocked, SIGPIPE as it is by default. */
static int prepare(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes,
                   const int *fds) {
  sigset_t none, defaults;
  int code;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  if ((code = posix_spawnattr_setsigmask(attributes, &none)) != 0) return code;
  if ((code = posix_spawnattr_setsigdefault(attributes, &defaults)) != 0) return code;
  code = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  if (code == 0) code = posix_spawn_file_actions_adddup2(actions, fds[ITS], 0);
  if (code == 0) code = posix_spawn_file_actions_adddup2(actions, fds[ITS], 1);
  if (code == 0) code = posix_spawn_file_actions_adddup2(actions, fds[ITS_WORDS], 2);
#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 34)
  if (code == 0) code = posix_spawn_file_actions_addclosefrom_np(actions, 3);
#endif
#endif
  return code;
}

/* 0, or an error number. */
static int spawn(pid_t *pid, char *const argv[], const int *fds) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int code = posix_spawn_file_actions_init(&actions);
  if (code != 0) return code;
  if ((code = posix_spawnattr_init(&attributes)) == 0) {
    code = prepare(&actions, &attributes, fds);
    if (code == 0) code = posix_spawnp(pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&actions);
  return code;
}

int lm_child_start(struct lm_child *c, char *const argv[]) {
  int fds[ENDS], code, ours;
  pid_t pid = 0;
  memset(c, 0, sizeof *c);
  c->words = -1;
  code = open_ends(fds) ? spawn(&pid, argv, fds) : errno;
  if (code != 0) {
    close_all(fds);
    errno = code;
    return -1;
  }
  c->pid = (long)pid;
  c->owner = lm_home_process();
  c->words = fds[WORDS];
  ours = fds[OURS];
  fds[WORDS] = fds[OURS] = -1;
  close_all(fds);
  return ours;
}

/* --- its words and its end ------------------------------------------------------------------- */

long lm_child_words(struct lm_child *c, char *p, size_t n) {
  ssize_t got;
  if (c->words < 0) return 0;
  do {
    got = read(c->words, p, n);
  } while (got < 0 && errno == EINTR);
  return (long)got;
}

bool lm_child_has_ended(struct lm_child *c) {
  pid_t got;
  if (c->pid == 0 || c->ended) return true;
  do {
    got = waitpid((pid_t)c->pid, &c->status, WNOHANG);
  } while (got < 0 && errno == EINTR);
  if (got < 0) c->status = 0; /* somebody else has waited for it */
  c->ended = got != 0;
  return c->ended;
}

bool lm_child_is_ending(struct lm_child *c) {
  struct timespec nap = {0, 1000000};
  int i;
  for (i = 0; i < LM_CHILD_PATIENCE_MS && !lm_child_has_ended(c); i++) nanosleep(&nap, NULL);
  return lm_child_has_ended(c);
}

static void finish(struct lm_child *c) {
  kill((pid_t)c->pid, SIGTERM);
  if (lm_child_is_ending(c)) return;
  kill((pid_t)c->pid, SIGKILL);
  while (waitpid((pid_t)c->pid, &c->status, 0) < 0 && errno == EINTR) continue;
  c->ended = true;
}

void lm_child_end(struct lm_child *c) {
  if (c->pid == 0) return;
  if (c->words >= 0) close(c->words);
  c->words = -1;
  if (c->owner == lm_home_process() && !lm_child_has_ended(c)) finish(c);
}

bool lm_child_fate(const struct lm_child *c, char *text, size_t size) {
  if (!c->ended) return false;
  if (WIFSIGNALED(c->status)) {
    snprintf(text, size, "killed by signal %d", WTERMSIG(c->status));
  } else {
    snprintf(text, size, "exit status %d", WEXITSTATUS(c->status));
  }
  return true;
}
