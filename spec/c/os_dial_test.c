/*
** os_dial_test.c: staggered connects against addresses that listen, refuse or stay mute.
**
** 127.0.0.1 to .4 on one port: .1 listens, .2 is mute (its backlog is full), the others refuse. The
** clock is an argument, so nothing here sleeps.
*/
#define _GNU_SOURCE
#include "os/dial.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

enum { LISTENS = 1, MUTE = 2, PATIENCE_MS = 10000 };

static unsigned port;
static int listener, mute, stuffing[8];

static int socket_at(int host, unsigned at, int backlog) {
  struct sockaddr_in a;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  memset(&a, 0, sizeof a);
  a.sin_family = AF_INET;
  a.sin_port = htons((uint16_t)at);
  a.sin_addr.s_addr = htonl(0x7f000000u + (uint32_t)host);
  if (bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, backlog) == 0) return fd;
  close(fd);
  return -1;
}

static unsigned port_of(int fd) {
  struct sockaddr_in a;
  socklen_t n = sizeof a;
  getsockname(fd, (struct sockaddr *)&a, &n);
  return ntohs(a.sin_port);
}

/* Connections that nobody accepts fill the backlog; from then on the kernel drops what comes. */
static void fill_backlog(void) {
  struct sockaddr_in a;
  size_t i;
  memset(&a, 0, sizeof a);
  a.sin_family = AF_INET;
  a.sin_port = htons((uint16_t)port);
  a.sin_addr.s_addr = htonl(0x7f000002u);
  for (i = 0; i < 8; i++) {
    struct pollfd p;
    stuffing[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(connect(stuffing[i], (struct sockaddr *)&a, sizeof a) != 0);
    p.fd = stuffing[i];
    p.events = POLLOUT;
    poll(&p, 1, 0);
  }
}

static void set_up(void) {
  do {
    listener = socket_at(LISTENS, 0, 64);
    port = port_of(listener);
    mute = socket_at(MUTE, port, 0);
    if (mute < 0) close(listener);
  } while (mute < 0);
  fill_backlog();
}

static struct lm_dial *dial(const char *const *addresses, const char *local) {
  const char *why = NULL;
  size_t n = 0;
  struct lm_dial *d;
  while (addresses[n]) n++;
  d = lm_dial_new(addresses, n, port, local, &why);
  CHECK(d != NULL && why == NULL);
  return d;
}

/* Steps at the time `now` until it no longer waits, or waits for the clock. */
static enum lm_dial_status step_at(struct lm_dial *d, double now, int *ms_out) {
  struct pollfd p;
  bool write;
  enum lm_dial_status status;
  int ready = 1;
  for (;;) {
    *ms_out = -2;
    status = lm_dial_step(d, now, &p.fd, &write, ms_out);
    if (status != LM_DIAL_WAIT || ready == 0) return status;
    p.events = write ? POLLOUT : POLLIN;
    /* with attempts left the clock is what it may wait for; else only the kernel is */
    ready = poll(&p, 1, *ms_out < 0 ? PATIENCE_MS : 100);
  }
}

static bool is_cloexec(int fd) {
  return (fcntl(fd, F_GETFD) & FD_CLOEXEC) && (fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static void connects(void) {
  static const char *const addresses[] = {"127.0.0.1", NULL};
  struct lm_dial *d = dial(addresses, NULL);
  int ms, fd, on = 0;
  socklen_t n = sizeof on;
  CHECK(step_at(d, 0, &ms) == LM_DIAL_CONNECTED);
  CHECK(strcmp(lm_dial_address(d), "127.0.0.1") == 0);
  fd = lm_dial_take(d);
  CHECK(fd >= 0 && lm_dial_take(d) == -1);
  CHECK(is_cloexec(fd));
  CHECK(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &n) == 0 && on);
  lm_dial_free(d);
  CHECK(send(fd, "x", 1, MSG_NOSIGNAL) == 1);
  close(fd);
  close(accept(listener, NULL, NULL));
}

static void tells_refusal(void) {
  static const char *const addresses[] = {"127.0.0.3", "127.0.0.4", NULL};
  struct lm_dial *d = dial(addresses, NULL);
  char words[128];
  int ms;
  CHECK(step_at(d, 0, &ms) == LM_DIAL_REFUSED);
  CHECK(lm_dial_take(d) == -1);
  snprintf(words, sizeof words, "cannot connect to 127.0.0.3 port %u: Connection refused", port);
  CHECK(strcmp(lm_dial_why(d), words) == 0);
  lm_dial_free(d);
}

/* A refusal does not wait for the clock. */
static void goes_on_at_once(void) {
  static const char *const addresses[] = {"127.0.0.3", "127.0.0.4", "127.0.0.1", NULL};
  struct lm_dial *d = dial(addresses, NULL);
  int ms;
  CHECK(step_at(d, 0, &ms) == LM_DIAL_CONNECTED);
  CHECK(strcmp(lm_dial_address(d), "127.0.0.1") == 0);
  lm_dial_free(d);
  close(accept(listener, NULL, NULL));
}

static void staggers(void) {
  static const char *const addresses[] = {"127.0.0.2", "127.0.0.1", NULL};
  struct lm_dial *d = dial(addresses, NULL);
  int fd, again, ms;
  bool write;
  CHECK(lm_dial_step(d, 10, &fd, &write, &ms) == LM_DIAL_WAIT);
  CHECK(ms > 240 && ms <= 251);
  CHECK(lm_dial_step(d, 10.2, &again, &write, &ms) == LM_DIAL_WAIT);
  CHECK(ms > 40 && ms <= 51 && again == fd);
  CHECK(step_at(d, 10.25, &ms) == LM_DIAL_CONNECTED);
  CHECK(strcmp(lm_dial_address(d), "127.0.0.1") == 0);
  lm_dial_free(d);
  close(accept(listener, NULL, NULL));
}

/* A mute host alone: the caller's deadline ends it, not ours; and nothing stays open. */
static void waits_for_the_mute(void) {
  static const char *const addresses[] = {"127.0.0.2", NULL};
  struct lm_dial *d = dial(addresses, NULL);
  int fd, ms, before, after;
  bool write;
  CHECK(lm_dial_step(d, 0, &fd, &write, &ms) == LM_DIAL_WAIT);
  CHECK(ms == -1);
  CHECK(lm_dial_step(d, 3600, &fd, &write, &ms) == LM_DIAL_WAIT);
  before = dup(0);
  lm_dial_free(d);
  after = dup(0);
  CHECK(after < before);
  close(before);
  close(after);
}

/* A refusal while another attempt is under way is not the end. */
static void outlives_refusals(void) {
  static const char *const addresses[] = {"127.0.0.2", "127.0.0.3", "127.0.0.4", NULL};
  struct lm_dial *d = dial(addresses, NULL);
  int ms;
  CHECK(lm_dial_step(d, 0, &(int){0}, &(bool){false}, &ms) == LM_DIAL_WAIT);
  CHECK(lm_dial_step(d, 0.3, &(int){0}, &(bool){false}, &ms) == LM_DIAL_WAIT);
  CHECK(lm_dial_step(d, 0.6, &(int){0}, &(bool){false}, &ms) == LM_DIAL_WAIT);
  CHECK(lm_dial_step(d, 0.9, &(int){0}, &(bool){false}, &ms) == LM_DIAL_WAIT);
  CHECK(ms == -1);
  lm_dial_free(d);
}

/* IPv6 goes first (here it is refused, or the host has none), then the families in turn. */
static void prefers_ipv6(void) {
  static const char *const addresses[] = {"127.0.0.3", "127.0.0.4", "::1", NULL};
  struct lm_dial *d = dial(addresses, NULL);
  char words[128];
  int ms;
  CHECK(step_at(d, 0, &ms) == LM_DIAL_REFUSED);
  snprintf(words, sizeof words, "port %u: Connection refused", port);
  CHECK(strstr(lm_dial_why(d), words) != NULL);
  CHECK(strcmp(lm_dial_address(d), "127.0.0.4") != 0);
  lm_dial_free(d);
}

static void comes_from(void) {
  static const char *const addresses[] = {"::1", "127.0.0.1", NULL};
  struct lm_dial *d = dial(addresses, "127.0.0.9");
  struct sockaddr_in from;
  socklen_t n = sizeof from;
  int ms, fd;
  CHECK(step_at(d, 0, &ms) == LM_DIAL_CONNECTED);
  fd = accept(listener, (struct sockaddr *)&from, &n);
  CHECK(fd >= 0 && from.sin_addr.s_addr == htonl(0x7f000009u));
  close(fd);
  lm_dial_free(d);
}

static void refuses(const char *address, const char *local, const char *words) {
  const char *why = NULL;
  CHECK(lm_dial_new(&address, address ? 1 : 0, port, local, &why) == NULL);
  CHECK(strcmp(why, words) == 0);
}

int main(void) {
  size_t i;
  set_up();
  connects();
  tells_refusal();
  goes_on_at_once();
  staggers();
  waits_for_the_mute();
  outlives_refusals();
  prefers_ipv6();
  comes_from();
  refuses("localhost", NULL, "not a numeric address");
  refuses("127.0.0.1", "here", "not a numeric local address");
  refuses("127.0.0.1", "::1", "the local address is of another family");
  refuses(NULL, NULL, "no address to connect to");
  for (i = 0; i < 8; i++) close(stuffing[i]);
  close(listener);
  close(mute);
  return check_end();
}
