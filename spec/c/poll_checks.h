/*
** poll_checks.h: what a poller must do, whichever system call it stands on.
**
** Included by os_poll_test.c, and by os_poll2_test.c behind a poll.c that was told to do without epoll.
*/
#ifndef LM_SPEC_POLL_CHECKS_H
#define LM_SPEC_POLL_CHECKS_H

#include <errno.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "os/poll.h"

static struct lm_poll *poller;
static int near_fd, far_fd;

static void pair(void) {
  int fds[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
  near_fd = fds[0];
  far_fd = fds[1];
  lm_poll_forget(poller, near_fd);
  lm_poll_forget(poller, far_fd);
}

static void drop(void) {
  lm_poll_forget(poller, near_fd);
  lm_poll_forget(poller, far_fd);
  close(near_fd);
  close(far_fd);
}

static void put(int fd) {
  CHECK(write(fd, "x", 1) == 1);
}

static void take(int fd) {
  char c;
  CHECK(read(fd, &c, 1) == 1);
}

/* Parks until it is told to wait: a poller may say "try now" where there is nothing. */
static void park(int fd, unsigned want) {
  int tries = 0;
  while (lm_poll_park(poller, fd, want) == LM_POLL_READY) CHECK(++tries < 4);
}

/* The only one that is ready. */
static bool only(int fd, int ms) {
  return lm_poll_wait(poller, ms) == 1 && lm_poll_take(poller, 0) == fd;
}

static void test_read(void) {
  pair();
  park(near_fd, LM_POLL_READ);
  EXPECT(lm_poll_wait(poller, 0) == 0);
  EXPECT(lm_poll_wait(poller, 5) == 0);
  put(far_fd);
  EXPECT(only(near_fd, 5000));
  EXPECT(lm_poll_take(poller, 0) == -1);
  take(near_fd);
  park(near_fd, LM_POLL_READ);
  EXPECT(lm_poll_wait(poller, 0) == 0);
  put(far_fd);
  EXPECT(only(near_fd, 5000));
  drop();
}

static void test_unread(void) { /* what came before it was parked is not lost */
  pair();
  put(far_fd);
  if (lm_poll_park(poller, near_fd, LM_POLL_READ) == LM_POLL_PARKED) {
    EXPECT(only(near_fd, 5000));
  }
  drop();
}

static void fill(int fd) {
  char block[4096] = {0};
  while (send(fd, block, sizeof block, MSG_DONTWAIT) > 0) continue;
  CHECK(errno == EAGAIN || errno == EWOULDBLOCK);
}

static void drain(int fd) {
  char block[4096];
  while (recv(fd, block, sizeof block, MSG_DONTWAIT) > 0) continue;
}

static void test_write(void) {
  pair();
  fill(near_fd);
  park(near_fd, LM_POLL_WRITE);
  lm_poll_wait(poller, 0); /* epoll tells of room once that was there before */
  if (lm_poll_take(poller, 0) == near_fd) park(near_fd, LM_POLL_WRITE);
  EXPECT(lm_poll_wait(poller, 0) == 0);
  drain(far_fd);
  EXPECT(only(near_fd, 5000));
  fill(near_fd);
  put(far_fd);
  lm_poll_wait(poller, 0);
  EXPECT(lm_poll_park(poller, near_fd, LM_POLL_READ | LM_POLL_WRITE) == LM_POLL_READY ||
         only(near_fd, 5000));
  drop();
}

static void test_both_sides(void) {
  pair();
  park(near_fd, LM_POLL_READ);
  park(far_fd, LM_POLL_READ);
  put(near_fd);
  put(far_fd);
  EXPECT(lm_poll_wait(poller, 5000) == 2);
  EXPECT(lm_poll_take(poller, 0) + lm_poll_take(poller, 1) == near_fd + far_fd);
  drop();
}

static void test_unpark(void) {
  pair();
  park(near_fd, LM_POLL_READ);
  lm_poll_unpark(poller, near_fd);
  put(far_fd);
  EXPECT(lm_poll_wait(poller, 5) == 0);
  EXPECT(lm_poll_park(poller, near_fd, LM_POLL_READ) == LM_POLL_READY || only(near_fd, 5000));
  take(near_fd);
  park(near_fd, LM_POLL_READ);
  put(far_fd);
  EXPECT(lm_poll_wait(poller, 5000) == 1);
  lm_poll_unpark(poller, near_fd); /* between the two calls */
  EXPECT(lm_poll_take(poller, 0) == -1);
  drop();
}

static void test_end(void) {
  pair();
  park(near_fd, LM_POLL_READ);
  lm_poll_forget(poller, far_fd);
  close(far_fd);
  EXPECT(only(near_fd, 5000));
  /* and again: nothing else will ever tell of it */
  EXPECT(lm_poll_park(poller, near_fd, LM_POLL_READ) == LM_POLL_READY || only(near_fd, 5000));
  lm_poll_forget(poller, near_fd);
  close(near_fd);
}

static void test_same_number(void) {
  int old, i;
  for (i = 0; i < 20; i++) {
    pair();
    old = near_fd;
    park(near_fd, LM_POLL_READ);
    put(far_fd);
    drop();
    pair();
    CHECK(near_fd == old);
    park(near_fd, LM_POLL_READ);
    EXPECT(lm_poll_wait(poller, 0) == 0);
    put(far_fd);
    EXPECT(only(near_fd, 5000));
    drop();
  }
}

static void test_many(void) {
  enum { MANY = 300 };
  static int fds[MANY][2];
  int i, seen = 0, n;
  for (i = 0; i < MANY; i++) {
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds[i]) == 0);
    lm_poll_forget(poller, fds[i][0]);
    park(fds[i][0], LM_POLL_READ);
    put(fds[i][1]);
  }
  while (seen < MANY && (n = lm_poll_wait(poller, 5000)) > 0) {
    for (i = 0; i < n; i++) seen += lm_poll_take(poller, i) >= 0;
  }
  EXPECT(seen == MANY);
  for (i = 0; i < MANY; i++) {
    lm_poll_forget(poller, fds[i][0]);
    close(fds[i][0]);
    close(fds[i][1]);
  }
}

static void test_refused(void) {
  EXPECT(lm_poll_park(poller, -1, LM_POLL_READ) == LM_POLL_REFUSED);
  EXPECT(errno == EBADF);
  EXPECT(lm_poll_park(poller, 1000, LM_POLL_READ) == LM_POLL_REFUSED); /* not open */
  EXPECT(errno == EBADF);
  lm_poll_unpark(poller, -1);
  lm_poll_forget(poller, 1 << 20);
  EXPECT(lm_poll_wait(poller, 0) == 0);
}

/* What the child says is its exit status: checks that fail there are not counted here. */
static int in_child(int other) {
  int told;
  lm_poll_forget(poller, other);
  told = lm_poll_wait(poller, 0);
  if (told != 1 || lm_poll_take(poller, 0) != near_fd) return 1; /* whoever was parked is told */
  park(near_fd, LM_POLL_READ);
  if (lm_poll_wait(poller, 0) != 0) return 2;
  put(far_fd);
  if (!only(near_fd, 5000)) return 3;
  take(near_fd);
  lm_poll_forget(poller, near_fd);
  lm_poll_free(poller);
  return 0;
}

static void test_fork(void) {
  int other[2], status = -1;
  pid_t child;
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, other) == 0);
  lm_poll_forget(poller, other[0]);
  pair();
  park(near_fd, LM_POLL_READ);
  park(other[0], LM_POLL_READ);
  fflush(NULL);
  if ((child = fork()) == 0) _exit(in_child(other[0]));
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  while (lm_poll_wait(poller, 0) > 0) park(near_fd, LM_POLL_READ); /* the child's octet came by */
  put(other[1]);
  EXPECT(only(other[0], 5000)); /* nothing that the child did took it out */
  put(far_fd);
  EXPECT(only(near_fd, 5000));
  lm_poll_forget(poller, other[0]);
  close(other[0]);
  close(other[1]);
  drop();
}

static int run_checks(void) {
  poller = lm_poll_new();
  CHECK(poller != NULL);
  test_read();
  test_unread();
  test_write();
  test_both_sides();
  test_unpark();
  test_end();
  test_same_number();
  test_many();
  test_refused();
  test_fork();
  lm_poll_free(poller);
  lm_poll_free(NULL);
  return check_end();
}

#endif
