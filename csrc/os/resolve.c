/*
** resolve.c: one query with a c-ares channel of its own.
**
** c-ares may open several sockets; a bundle (bundle.h) stands for all of them. The socket functions
** are ours too: close-on-exec from the start, and no SIGPIPE when a server drops a TCP query.
*/
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1
#endif

#include "os/resolve.h"

#include <arpa/inet.h>
#include <ares.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/bundle.h"
#include "os/net.h"

enum { EVENTS = 8 };

struct lm_resolve {
  ares_channel channel;
  bool opened;   /* the channel is there */
  bool answered; /* the callback has run */
  int status;    /* ARES_SUCCESS or why not */
  struct lm_bundle bundle;
  size_t count;
  char (*address)[LM_ADDRESS_MAX];
  enum lm_record_type type;
  struct lm_record *records;
  size_t record_count;
};

/* --- sockets for c-ares ---------------------------------------------------------------------- */

static ares_socket_t open_socket(int family, int type, int protocol, void *unused) {
  (void)unused;
  return lm_net_socket(family, type, protocol);
}

static int close_socket(ares_socket_t fd, void *unused) {
  (void)unused;
  return close(fd);
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *a, ares_socklen_t n,
                          void *unused) {
  (void)unused;
  return connect(fd, a, n);
}

static ares_ssize_t receive(ares_socket_t fd, void *p, size_t n, int flags, struct sockaddr *from,
                            ares_socklen_t *from_n, void *unused) {
  (void)unused;
  return recvfrom(fd, p, n, flags, from, from_n);
}

static ares_ssize_t send_parts(ares_socket_t fd, const struct iovec *parts, int n, void *unused) {
  struct iovec copy[16];
  struct msghdr message;
  (void)unused;
  if (n > 16) n = 16;
  memcpy(copy, parts, (size_t)n * sizeof *copy);
  memset(&message, 0, sizeof message);
  message.msg_iov = copy;
  message.msg_iovlen = (size_t)n;
#if defined(MSG_NOSIGNAL)
  return sendmsg(fd, &message, MSG_NOSIGNAL);
#else
  return sendmsg(fd, &message, 0);
#endif
}

static const struct ares_socket_functions sockets = {open_socket, close_socket, connect_socket,
                                                     receive, send_parts};

/* c-ares says what it waits for; a socket that it is about to close comes with neither. */
static void on_socket(void *data, ares_socket_t fd, int readable, int writable) {
  const struct lm_resolve *r = data;
  lm_bundle_watch(&r->bundle, fd, readable, writable);
}

/* --- the answer ------------------------------------------------------------------------------ */

/* A link-local address is nothing without its zone. */
static void put_zone(char *text, uint32_t zone) {
  char name[IF_NAMESIZE];
  size_t n = strlen(text);
  if (zone == 0 || if_indextoname(zone, name) == NULL) return;
  snprintf(text + n, LM_ADDRESS_MAX - n, "%%%s", name);
}

static bool put_address(char *text, const struct sockaddr *a) {
  if (a->sa_family == AF_INET) {
    struct sockaddr_in in;
    memcpy(&in, a, sizeof in);
    return inet_ntop(AF_INET, &in.sin_addr, text, LM_ADDRESS_MAX) != NULL;
  }
  if (a->sa_family == AF_INET6) {
    struct sockaddr_in6 in6;
    memcpy(&in6, a, sizeof in6);
    if (inet_ntop(AF_INET6, &in6.sin6_addr, text, LM_ADDRESS_MAX) == NULL) return false;
    put_zone(text, in6.sin6_scope_id);
    return true;
  }
  return false;
}

static void on_answer(void *data, int status, int timeouts, struct ares_addrinfo *found) {
  struct lm_resolve *r = data;
  const struct ares_addrinfo_node *node;
  (void)timeouts;
  r->answered = true;
  r->status = status;
  if (found == NULL) return;
  r->address = calloc(LM_RESOLVE_ADDRESSES, sizeof *r->address);
  if (r->address == NULL) r->status = ARES_ENOMEM;
  for (node = found->nodes; r->address && node; node = node->ai_next) {
    if (r->count < LM_RESOLVE_ADDRESSES && put_address(r->address[r->count], node->ai_addr)) {
      r->count++;
    }
  }
  if (r->status == ARES_SUCCESS && r->count == 0) r->status = ARES_ENODATA;
  ares_freeaddrinfo(found);
}

static void on_records(void *data, int status, int timeouts, unsigned char *answer, int n) {
  struct lm_resolve *r = data;
  (void)timeouts;
  r->answered = true;
  r->status = status;
  if (status == ARES_SUCCESS)
    r->status = lm_record_parse(r->type, answer, n, &r->records, &r->record_count);
}

/* --- c-ares itself ---------------------------------------------------------------------------- */

/* Its count of users is guarded by nothing, and states in several threads resolve at the same time; the
** dynamic loader runs these one after the other. */
#if defined(__GNUC__)
__attribute__((constructor)) static void begin_library(void) {
  ares_library_init(ARES_LIB_INIT_ALL);
}

__attribute__((destructor)) static void end_library(void) {
  ares_library_cleanup();
}
#endif

/* --- asking ---------------------------------------------------------------------------------- */

static int open_channel(struct lm_resolve *r, const struct lm_resolve_options *o) {
  struct ares_options options;
  int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB, status;
  memset(&options, 0, sizeof options);
  options.timeout = o->timeout_ms > 0 ? o->timeout_ms : 2000;
  options.tries = o->tries > 0 ? o->tries : 3;
  options.sock_state_cb = on_socket;
  options.sock_state_cb_data = r;
  if ((status = ares_init_options(&r->channel, &options, mask)) != ARES_SUCCESS) return status;
  r->opened = true;
  ares_set_socket_functions(r->channel, &sockets, NULL);
  return o->servers ? ares_set_servers_ports_csv(r->channel, o->servers) : ARES_SUCCESS;
}

/* A numeric address is its own answer (some versions of c-ares ask the servers for it first). */
static bool is_numeric(struct lm_resolve *r, const char *name, int family) {
  struct addrinfo hints, *found = NULL;
  memset(&hints, 0, sizeof hints);
  hints.ai_family = family;
  hints.ai_flags = AI_NUMERICHOST;
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(name, NULL, &hints, &found) != 0) return false;
  r->answered = true;
  r->address = calloc(1, sizeof *r->address);
  r->status = r->address ? ARES_SUCCESS : ARES_ENOMEM;
  r->count = r->address && put_address(r->address[0], found->ai_addr);
  freeaddrinfo(found);
  return true;
}

static void ask(struct lm_resolve *r, const char *name, int family) {
  struct ares_addrinfo_hints hints;
  memset(&hints, 0, sizeof hints);
  hints.ai_family = family == 4 ? AF_INET : family == 6 ? AF_INET6 : AF_UNSPEC;
  if (is_numeric(r, name, hints.ai_family)) return;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = ARES_AI_NOSORT;
  ares_getaddrinfo(r->channel, name, NULL, &hints, on_answer, r);
}

struct lm_resolve *lm_resolve_new(const char *name, const struct lm_resolve_options *o,
                                  const char **why_out) {
  struct lm_resolve *r = calloc(1, sizeof *r);
  int status;
  *why_out = "out of memory";
  if (r == NULL) return NULL;
  lm_bundle_open(&r->bundle);
  if ((status = open_channel(r, o)) == ARES_SUCCESS) {
    r->type = o->type;
    if (o->type == LM_RECORD_ADDRESS) {
      ask(r, name, o->family);
    } else {
      ares_query(r->channel, name, 1, lm_record_number(o->type), on_records, r);
    }
    return r;
  }
  *why_out = ares_strerror(status);
  lm_resolve_free(r);
  return NULL;
}

void lm_resolve_free(struct lm_resolve *r) {
  if (r == NULL) return;
  if (r->opened) ares_destroy(r->channel);
  lm_bundle_close(&r->bundle);
  lm_record_free(r->records, r->record_count);
  free(r->address);
  free(r);
}

/* --- moving on ------------------------------------------------------------------------------- */

/* Until nothing is ready: a host that watches our bundle edge-triggered is told once only. */
static void process_bundle(struct lm_resolve *r) {
  struct lm_bundle_ready ready[EVENTS];
  int rounds = 0, n, i;
  while (!r->answered && rounds++ < 64 && (n = lm_bundle_ready(&r->bundle, ready, EVENTS)) > 0) {
    for (i = 0; i < n && !r->answered; i++) {
      ares_process_fd(r->channel, ready[i].readable ? ready[i].fd : ARES_SOCKET_BAD,
                      ready[i].writable ? ready[i].fd : ARES_SOCKET_BAD);
    }
  }
}

static void process_sockets(struct lm_resolve *r) {
  ares_socket_t fds[ARES_GETSOCK_MAXNUM];
  int mask = ares_getsock(r->channel, fds, ARES_GETSOCK_MAXNUM), i;
  for (i = 0; i < ARES_GETSOCK_MAXNUM && !r->answered; i++) {
    bool readable = ARES_GETSOCK_READABLE(mask, i), writable = ARES_GETSOCK_WRITABLE(mask, i);
    if (!readable && !writable) break;
    ares_process_fd(r->channel, readable ? fds[i] : ARES_SOCKET_BAD,
                    writable ? fds[i] : ARES_SOCKET_BAD);
  }
}

static void process(struct lm_resolve *r) {
  if (r->bundle.fd >= 0) {
    process_bundle(r);
  } else {
    process_sockets(r);
  }
  if (!r->answered) ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static int next_ms(struct lm_resolve *r) {
  struct timeval tv;
  struct timeval *t = ares_timeout(r->channel, NULL, &tv);
  /* one more: c-ares rounds down, and a wait that ends early would be asked for again and again */
  long ms = t ? (long)t->tv_sec * 1000 + t->tv_usec / 1000 + 1 : 1000;
  return ms > 60000 ? 60000 : (int)ms;
}

enum lm_resolve_status lm_resolve_step(struct lm_resolve *r, int *fd_out, bool *write_out,
                                       int *ms_out) {
  ares_socket_t fds[ARES_GETSOCK_MAXNUM];
  int mask;
  if (!lm_bundle_is_ours(&r->bundle)) return LM_RESOLVE_REFUSED;
  if (!r->answered) process(r);
  if (r->answered) return r->status == ARES_SUCCESS ? LM_RESOLVE_DONE : LM_RESOLVE_REFUSED;
  *fd_out = r->bundle.fd;
  *write_out = false;
  *ms_out = lm_bundle_patience(&r->bundle, next_ms(r));
  if (r->bundle.fd >= 0) return LM_RESOLVE_WAIT;
  mask = ares_getsock(r->channel, fds, ARES_GETSOCK_MAXNUM);
  *fd_out = ARES_GETSOCK_READABLE(mask, 0) || ARES_GETSOCK_WRITABLE(mask, 0) ? fds[0] : -1;
  *write_out = ARES_GETSOCK_WRITABLE(mask, 0) != 0;
  return LM_RESOLVE_WAIT;
}

const char *lm_resolve_address(const struct lm_resolve *r, size_t i) {
  return i < r->count ? r->address[i] : NULL;
}

const struct lm_record *lm_resolve_record(const struct lm_resolve *r, size_t i) {
  return i < r->record_count ? &r->records[i] : NULL;
}

const char *lm_resolve_why(const struct lm_resolve *r) {
  if (!lm_bundle_is_ours(&r->bundle)) return "asked by another process (fork)";
  switch (r->status) {
  case ARES_ENOTFOUND: return "no such host";
  case ARES_ENODATA:
    return r->type == LM_RECORD_ADDRESS ? "the host has no address" : "no record of that type";
  case ARES_ETIMEOUT: return "no answer from the name servers";
  case ARES_ECONNREFUSED: /* also: every server answered, and none was of use */
  case ARES_ESERVFAIL:
  case ARES_EREFUSED: return "no usable answer from the name servers";
  case ARES_EBADNAME: return "not a host name";
  default: return ares_strerror(r->status);
  }
}

const char *lm_resolve_missing(const struct lm_resolve *r) {
  if (r->status == ARES_ENOTFOUND) return "name";
  return r->status == ARES_ENODATA ? "record" : NULL;
}

bool lm_resolve_is_temporary(const struct lm_resolve *r) {
  switch (r->status) {
  case ARES_SUCCESS:
  case ARES_ENOTFOUND:
  case ARES_ENODATA:
  case ARES_EBADNAME:
  case ARES_EFORMERR:
  case ARES_ENOTIMP: return false;
  default: return true;
  }
}
