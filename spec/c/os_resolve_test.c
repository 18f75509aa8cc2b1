/*
** os_resolve_test.c: queries against a name server that lives in this test.
**
** It answers by the first label: what each row wants to hear, including nothing at all, an error,
** and an answer to a question that nobody asked.
*/
#define _GNU_SOURCE
#include "os/resolve.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

enum { HEADER = 12, TYPE_A = 1, TYPE_AAAA = 28, PATIENCE_MS = 10000 };

static int server;
static char servers[64];
static int asked; /* queries that came in */

/* --- the name server ------------------------------------------------------------------------- */

static size_t put_record(unsigned char *p, int type, const void *data, size_t n) {
  static const unsigned char head[] = {0xc0, HEADER, 0, 0, 0, 1, 0, 0, 0, 60, 0, 0};
  memcpy(p, head, sizeof head);
  p[3] = (unsigned char)type;
  p[11] = (unsigned char)n;
  memcpy(p + sizeof head, data, n);
  return sizeof head + n;
}

/* The answer to the query in `q` of `n` bytes, written behind it; its length, 0 for silence. */
static size_t answer(unsigned char *q, size_t n) {
  static const unsigned char v4[] = {192, 0, 2, 1}, v4b[] = {192, 0, 2, 2};
  static const unsigned char v6[] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  const char *name = (const char *)q + HEADER + 1;
  size_t end = HEADER;
  int type;
  while (q[end]) end += (size_t)q[end] + 1;
  type = q[end + 2];
  end += 5;
  CHECK(end <= n);
  q[2] = 0x81;
  q[3] = 0x80;
  q[11] = 0; /* no EDNS in the answer */
  if (strncmp(name, "mute", 4) == 0) return 0;
  if (strncmp(name, "nowhere", 7) == 0) q[3] = 0x83;
  if (strncmp(name, "broken", 6) == 0) q[3] = 0x82;
  if (strncmp(name, "both", 4) != 0) return end;
  q[7] = type == TYPE_A ? 2 : 1;
  if (type == TYPE_AAAA) return end + put_record(q + end, type, v6, 16);
  end += put_record(q + end, type, v4, 4);
  return end + put_record(q + end, type, v4b, 4);
}

static void serve(void) {
  unsigned char q[1024];
  struct sockaddr_in from;
  socklen_t from_n = sizeof from;
  ssize_t n = recvfrom(server, q, 512, MSG_DONTWAIT, (struct sockaddr *)&from, &from_n);
  size_t out;
  if (n < HEADER) return;
  asked++;
  out = answer(q, (size_t)n);
  if (out) CHECK(sendto(server, q, out, 0, (struct sockaddr *)&from, from_n) == (ssize_t)out);
}

static void set_up(void) {
  struct sockaddr_in a;
  socklen_t n = sizeof a;
  server = socket(AF_INET, SOCK_DGRAM, 0);
  memset(&a, 0, sizeof a);
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(server, (struct sockaddr *)&a, sizeof a) == 0);
  getsockname(server, (struct sockaddr *)&a, &n);
  snprintf(servers, sizeof servers, "127.0.0.1:%u", ntohs(a.sin_port));
}

/* --- asking ---------------------------------------------------------------------------------- */

static struct lm_resolve *ask(const char *name, int family) {
  struct lm_resolve_options o = {0};
  const char *why = NULL;
  struct lm_resolve *r;
  o.servers = servers;
  o.timeout_ms = 50;
  o.tries = 2;
  o.family = family;
  asked = 0;
  r = lm_resolve_new(name, &o, &why);
  CHECK(r != NULL);
  return r;
}

static enum lm_resolve_status finish(struct lm_resolve *r) {
  struct pollfd p[2];
  bool write;
  int ms, most = 0;
  enum lm_resolve_status status;
  while ((status = lm_resolve_step(r, &p[0].fd, &write, &ms)) == LM_RESOLVE_WAIT) {
    if (ms < 1 || ms > most) most = ms < 1 ? PATIENCE_MS + 1 : ms;
    p[0].events = (short)(write ? POLLIN | POLLOUT : POLLIN);
    p[1].fd = server;
    p[1].events = POLLIN;
    poll(p, 2, ms);
    serve();
  }
  CHECK(most <= PATIENCE_MS);
  return status;
}

static bool found(const struct lm_resolve *r, const char *address) {
  size_t i;
  for (i = 0; lm_resolve_address(r, i); i++) {
    if (strcmp(lm_resolve_address(r, i), address) == 0) return true;
  }
  return false;
}

static void finds(const char *name, int family, const char *address, const char *other) {
  struct lm_resolve *r = ask(name, family);
  CHECK(finish(r) == LM_RESOLVE_DONE);
  CHECK(found(r, address));
  CHECK(other == NULL || found(r, other));
  lm_resolve_free(r);
}

static void misses(const char *name, const char *why, bool temporary) {
  struct lm_resolve *r = ask(name, 0);
  CHECK(finish(r) == LM_RESOLVE_REFUSED);
  if (strcmp(lm_resolve_why(r), why) != 0) fprintf(stderr, "%s\n", lm_resolve_why(r));
  CHECK(strcmp(lm_resolve_why(r), why) == 0);
  CHECK(lm_resolve_is_temporary(r) == temporary && lm_resolve_address(r, 0) == NULL);
  lm_resolve_free(r);
}

/* Without a question to anybody. */
static void knows(const char *name, const char *address) {
  finds(name, 0, address, NULL);
  CHECK(asked == 0);
}

static void cancels(void) {
  struct lm_resolve *r = ask("mute.example.", 0);
  int fd, ms, before, after;
  bool write;
  CHECK(lm_resolve_step(r, &fd, &write, &ms) == LM_RESOLVE_WAIT && fd >= 0);
  before = dup(0);
  lm_resolve_free(r);
  after = dup(0);
  CHECK(after < before);
  close(before);
  close(after);
}

int main(void) {
  struct lm_resolve_options bad = {0};
  const char *why = NULL;
  set_up();
  finds("both.example.", 0, "192.0.2.1", "2001:db8::1");
  finds("both.example.", 4, "192.0.2.2", NULL);
  finds("both.example.", 6, "2001:db8::1", NULL);
  knows("192.0.2.7", "192.0.2.7");
  knows("2001:db8::7", "2001:db8::7");
  knows("localhost", "127.0.0.1");
  misses("nowhere.example.", "no such host", false);
  misses("empty.example.", "the host has no address", false);
  misses("mute.example.", "no answer from the name servers", true);
  CHECK(asked >= 2);
  misses("broken.example.", "no usable answer from the name servers", true);
  cancels();
  bad.servers = "not an address";
  CHECK(lm_resolve_new("both.example.", &bad, &why) == NULL && why[0]);
  close(server);
  return check_end();
}
