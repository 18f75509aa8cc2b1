/*
** os_child_test.c: programs as streams: what they are given, what they say, and how they end.
**
** Rows run /bin/sh. Nothing may be left of any of them: the number of descriptors is the same at the
** end, and no process is left to be waited for.
*/
#define _GNU_SOURCE
#include "os/child.h"

#include <errno.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "os/net.h"

static int start(struct lm_child *c, const char *script) {
  static char sh[] = "/bin/sh", option[] = "-c", text[256];
  char *words[] = {sh, option, text, NULL};
  snprintf(text, sizeof text, "%s", script);
  return lm_child_start(c, words);
}

/* Reads until `n` octets or the end have come. */
static long read_all(int fd, char *p, size_t n) {
  struct pollfd ready = {fd, POLLIN, 0};
  size_t have = 0;
  while (have < n && poll(&ready, 1, 10000) > 0) {
    long got = lm_net_read(fd, p + have, n - have);
    if (got <= 0) break;
    have += (size_t)got;
  }
  return (long)have;
}

/* What it writes to its output, and what becomes of it. */
static void plays(const char *script, const char *says, const char *fate) {
  struct lm_child c;
  char text[256];
  int fd = start(&c, script);
  long n;
  check_row = script;
  CHECK(fd >= 3);
  n = read_all(fd, text, strlen(says));
  EXPECT(n == (long)strlen(says) && memcmp(text, says, (size_t)n) == 0);
  while (strncmp(fate, "exit", 4) == 0 && !lm_child_is_ending(&c)) continue;
  close(fd);
  lm_child_end(&c);
  lm_child_end(&c);
  CHECK(lm_child_fate(&c, text, sizeof text));
  EXPECT(strcmp(text, fate) == 0);
  check_row = NULL;
}

static void words(void) {
  struct lm_child c;
  struct pollfd ready = {-1, POLLIN, 0};
  char text[64];
  int fd = start(&c, "echo why >&2; read line; exit 7");
  CHECK(fd >= 0 && !lm_child_has_ended(&c));
  CHECK(!lm_child_fate(&c, text, sizeof text));
  ready.fd = c.words;
  CHECK(poll(&ready, 1, 10000) == 1);
  CHECK(lm_child_words(&c, text, sizeof text) == 4 && memcmp(text, "why\n", 4) == 0);
  CHECK(lm_child_words(&c, text, sizeof text) == -1 && errno == EAGAIN);
  CHECK(lm_net_write(fd, "x\n", 2) == 2);
  while (!lm_child_is_ending(&c)) continue;
  CHECK(lm_child_fate(&c, text, sizeof text) && strcmp(text, "exit status 7") == 0);
  CHECK(lm_child_words(&c, text, sizeof text) == 0);
  close(fd);
  lm_child_end(&c);
  CHECK(lm_child_words(&c, text, sizeof text) == 0);
}

static void refuses(void) {
  static char none[] = "/there/is/none";
  char *argv[] = {none, NULL};
  struct lm_child c;
  CHECK(lm_child_start(&c, argv) == -1 && errno == ENOENT);
  CHECK(lm_child_has_ended(&c));
  lm_child_end(&c);
}

static void addresses(void) {
  unsigned char octets[16];
  char path[200];
  EXPECT(lm_net_octets("192.0.2.1", octets) == 4 && octets[0] == 192 && octets[3] == 1);
  EXPECT(lm_net_octets("2001:db8::1", octets) == 16 && octets[0] == 0x20 && octets[15] == 1);
  EXPECT(lm_net_octets("mail.example", octets) == 0 && lm_net_octets("", octets) == 0);
  EXPECT(lm_net_unix("/there/is/none") == -1 && errno == ENOENT);
  memset(path, 'x', sizeof path - 1);
  path[sizeof path - 1] = '\0';
  EXPECT(lm_net_unix(path) == -1 && errno == ENAMETOOLONG);
}

int main(void) {
  int before = dup(0), after;
  close(before);
  plays("printf hello; exit 3", "hello", "exit status 3");
  plays("printf x; exec sleep 60", "x", "killed by signal 15");
  plays("trap '' TERM; printf x; while :; do sleep 1; done", "x", "killed by signal 9");
  words();
  refuses();
  addresses();
  after = dup(0);
  CHECK(after == before);
  CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
  return check_end();
}
