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
static int listener; /* the same port by TCP: for what is too long, or cut off (TC) */
static int stream = -1;
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

enum { TYPE_PTR = 12, TYPE_MX = 15, TYPE_TXT = 16, TYPE_SRV = 33, MANY = LM_RECORDS + 50 };

/* The host of a row: "m" and the number, below the root. */
static const unsigned char mx[] = {0, 10, 1, 'm', 0};
static const unsigned char srv[] = {0, 1, 0, 2, 3, 0xe1, 1, 's', 0};
static const unsigned char no_host[] = {0, 0, 0};
static const unsigned char ptr[] = {1, 'p', 0};
static const unsigned char txt[] = {3, 'a', 0, 'b', 0, 2, 'c', 'd'};
/* What no record of the type may hold: a name that never ends, one that points to itself, a string
** that is longer than its record, nothing at all. */
static const unsigned char endless[] = {0, 10, 63, 'm'};
static const unsigned char around[] = {0, 10, 0xc0, HEADER + 200};
static const unsigned char beyond[] = {200, 'a'};

/* The rows for a name: those of other types than addresses. */
static size_t put_rows(unsigned char *p, const char *name, int type, int *count) {
  size_t n = 0;
  int i, rows = strncmp(name, "many", 4) == 0 ? MANY : 1;
  const unsigned char *data = type == TYPE_MX ? mx : type == TYPE_SRV ? srv : txt;
  size_t size = type == TYPE_MX ? sizeof mx : type == TYPE_SRV ? sizeof srv : sizeof txt;
  if (type == TYPE_PTR) data = ptr, size = sizeof ptr;
  if (strncmp(name, "null", 4) == 0) data = no_host, size = sizeof no_host;
  if (strncmp(name, "endless", 7) == 0) data = endless, size = sizeof endless;
  if (strncmp(name, "around", 6) == 0) data = around, size = sizeof around;
  if (strncmp(name, "beyond", 6) == 0) data = beyond, size = sizeof beyond;
  if (strncmp(name, "hollow", 6) == 0) size = 0;
  for (i = 0; i < rows; i++) n += put_record(p + n, type, data, size);
  *count = rows;
  if (strncmp(name, "cut", 3) == 0) n -= 2;
  if (strncmp(name, "fewer", 5) == 0) *count = 2; /* than the header says */
  return n;
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
  if (type == TYPE_MX || type == TYPE_SRV || type == TYPE_TXT || type == TYPE_PTR) {
    int rows = 0;
    if (strncmp(name, "plain", 5) == 0) return end;
    end += put_rows(q + end, name, type, &rows);
    q[7] = (unsigned char)rows;
    return end;
  }
  if (strncmp(name, "both", 4) != 0) return end;
  q[7] = type == TYPE_A ? 2 : 1;
  if (type == TYPE_AAAA) return end + put_record(q + end, type, v6, 16);
  end += put_record(q + end, type, v4, 4);
  return end + put_record(q + end, type, v4b, 4);
}

static void serve(void) {
  unsigned char q[8192];
  struct sockaddr_in from;
  socklen_t from_n = sizeof from;
  ssize_t n = recvfrom(server, q, 512, MSG_DONTWAIT, (struct sockaddr *)&from, &from_n);
  size_t out;
  if (n < HEADER) return;
  asked++;
  out = answer(q, (size_t)n);
  if (strncmp((char *)q + HEADER + 1, "short", 5) == 0 || out > 512) {
    q[2] |= 2;
    q[7] = 0;
    out = (size_t)n;
  }
  if (out) CHECK(sendto(server, q, out, 0, (struct sockaddr *)&from, from_n) == (ssize_t)out);
}

/* Queries by TCP come in one piece here. */
static void serve_stream(void) {
  unsigned char q[8192];
  ssize_t n;
  size_t out;
  if (stream < 0) stream = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
  if (stream < 0) return;
  n = read(stream, q, 512);
  if (n < 2 + HEADER) {
    if (n == 0) close(stream);
    if (n == 0) stream = -1;
    return;
  }
  out = answer(q + 2, (size_t)n - 2);
  q[0] = (unsigned char)(out >> 8);
  q[1] = (unsigned char)out;
  if (out) CHECK(write(stream, q, out + 2) == (ssize_t)out + 2);
}

/* One port by UDP and by TCP: the second may be another program's, then both are chosen anew. */
static bool open_both(struct sockaddr_in *a) {
  socklen_t n = sizeof *a;
  memset(a, 0, sizeof *a);
  a->sin_family = AF_INET;
  a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  server = socket(AF_INET, SOCK_DGRAM, 0);
  listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (bind(server, (struct sockaddr *)a, n) == 0 &&
      getsockname(server, (struct sockaddr *)a, &n) == 0 &&
      bind(listener, (struct sockaddr *)a, n) == 0 && listen(listener, 5) == 0) {
    return true;
  }
  close(server);
  close(listener);
  return false;
}

static void set_up(void) {
  struct sockaddr_in a;
  int tries = 100;
  while (!open_both(&a) && tries > 0) tries--;
  CHECK(tries > 0);
  snprintf(servers, sizeof servers, "127.0.0.1:%u", ntohs(a.sin_port));
}

/* --- asking ---------------------------------------------------------------------------------- */

static struct lm_resolve *ask_for(const char *name, int family, enum lm_record_type type) {
  struct lm_resolve_options o = {0};
  const char *why = NULL;
  struct lm_resolve *r;
  o.servers = servers;
  o.timeout_ms = 50;
  o.tries = 2;
  o.family = family;
  o.type = type;
  asked = 0;
  r = lm_resolve_new(name, &o, &why);
  CHECK(r != NULL);
  return r;
}

static struct lm_resolve *ask(const char *name, int family) {
  return ask_for(name, family, LM_RECORD_ADDRESS);
}

static enum lm_resolve_status finish(struct lm_resolve *r) {
  struct pollfd p[3];
  bool write;
  int ms, most = 0;
  enum lm_resolve_status status;
  while ((status = lm_resolve_step(r, &p[0].fd, &write, &ms)) == LM_RESOLVE_WAIT) {
    if (ms < 1 || ms > most) most = ms < 1 ? PATIENCE_MS + 1 : ms;
    p[0].events = (short)(write ? POLLIN | POLLOUT : POLLIN);
    p[1].fd = server;
    p[1].events = POLLIN;
    p[2].fd = stream < 0 ? listener : stream;
    p[2].events = POLLIN;
    poll(p, 3, ms);
    serve();
    serve_stream();
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

/* `count` rows, the first of which holds this. */
static void lists(const char *name, enum lm_record_type type, size_t count,
                  const struct lm_record *want) {
  struct lm_resolve *r = ask_for(name, 0, type);
  const struct lm_record *row;
  size_t n = 0;
  CHECK(finish(r) == LM_RESOLVE_DONE);
  while (lm_resolve_record(r, n)) n++;
  check_row = name;
  EXPECT(n == count);
  row = lm_resolve_record(r, 0);
  EXPECT(row->n == want->n && memcmp(row->text, want->text, want->n + 1) == 0);
  EXPECT(row->priority == want->priority && row->weight == want->weight && row->port == want->port);
  check_row = NULL;
  CHECK(lm_resolve_address(r, 0) == NULL && lm_resolve_missing(r) == NULL);
  lm_resolve_free(r);
}

/* No rows, and what there is none of; a garbled answer says nothing of that, and may be another one
** the next time. */
static void lacks(const char *name, enum lm_record_type type, const char *missing) {
  struct lm_resolve *r = ask_for(name, 0, type);
  const char *got;
  CHECK(finish(r) == LM_RESOLVE_REFUSED);
  got = lm_resolve_missing(r);
  check_row = name;
  EXPECT(missing ? got && strcmp(got, missing) == 0 : got == NULL);
  EXPECT(lm_resolve_is_temporary(r) == (missing == NULL));
  EXPECT(lm_resolve_record(r, 0) == NULL && lm_resolve_why(r)[0]);
  check_row = NULL;
  lm_resolve_free(r);
}

static void records(void) {
  static char m[] = "m", p[] = "p", s[] = "s", text[] = "a\0bcd", none[] = "";
  struct lm_record want_mx = {m, 1, 10, 0, 0}, want_srv = {s, 1, 1, 2, 993};
  struct lm_record want_ptr = {p, 1, 0, 0, 0};
  struct lm_record want_txt = {text, 5, 0, 0, 0}, want_null = {none, 0, 0, 0, 0};
  lists("one.example.", LM_RECORD_MX, 1, &want_mx);
  lists("one.example.", LM_RECORD_SRV, 1, &want_srv);
  lists("one.example.", LM_RECORD_TXT, 1, &want_txt);
  lists("short.example.", LM_RECORD_TXT, 1, &want_txt);
  lists("one.example.", LM_RECORD_PTR, 1, &want_ptr);
  lists("null.example.", LM_RECORD_MX, 1, &want_null);
  lists("many.example.", LM_RECORD_MX, LM_RECORDS, &want_mx);
  lists("many.example.", LM_RECORD_SRV, LM_RECORDS, &want_srv);
  lists("many.example.", LM_RECORD_TXT, LM_RECORDS, &want_txt);
  lists("many.example.", LM_RECORD_PTR, LM_RECORDS, &want_ptr);
  lacks("plain.example.", LM_RECORD_MX, "record");
  lacks("plain.example.", LM_RECORD_PTR, "record");
  lacks("nowhere.example.", LM_RECORD_PTR, "name");
  lacks("broken.example.", LM_RECORD_PTR, NULL);
  lacks("nowhere.example.", LM_RECORD_TXT, "name");
  lacks("broken.example.", LM_RECORD_SRV, NULL);
  lacks("mute.example.", LM_RECORD_MX, NULL);
  lacks("endless.example.", LM_RECORD_MX, NULL);
  lacks("around.example.", LM_RECORD_MX, NULL);
  lacks("hollow.example.", LM_RECORD_MX, NULL);
  lacks("hollow.example.", LM_RECORD_SRV, NULL);
  lacks("hollow.example.", LM_RECORD_PTR, NULL);
  lacks("beyond.example.", LM_RECORD_PTR, NULL);
  lacks("beyond.example.", LM_RECORD_TXT, NULL);
  lacks("cut.example.", LM_RECORD_MX, NULL);
  lacks("cut.example.", LM_RECORD_SRV, NULL);
  lacks("cut.example.", LM_RECORD_TXT, NULL);
  lacks("cut.example.", LM_RECORD_PTR, NULL);
  lacks("fewer.example.", LM_RECORD_MX, NULL);
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
  records();
  cancels();
  bad.servers = "not an address";
  CHECK(lm_resolve_new("both.example.", &bad, &why) == NULL && why[0]);
  close(server);
  close(listener);
  return check_end();
}
