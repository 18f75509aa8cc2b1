/*
** dial.c: staggered connects, the first one wins.
**
** What has become of an attempt is asked of poll(2) with no timeout, so a step costs one call
** however many there are. A bundle (bundle.h) holds the same sockets only for the host's loop.
*/
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1 /* IP_BIND_ADDRESS_NO_PORT */
#endif

#include "os/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/bundle.h"
#include "os/net.h"

enum { WHY_MAX = 160 };

struct attempt {
  struct sockaddr_storage to;
  socklen_t to_n;
  int fd;           /* -1 before and after */
  const char *text; /* in lm_dial.text */
};

struct lm_dial {
  struct attempt *attempt; /* in the order in which they are made */
  size_t count;
  size_t begun;
  size_t open;
  double next; /* when the next attempt is due */
  struct lm_bundle bundle;
  int won;   /* the connected socket, or -1 */
  int error; /* errno of the most telling failure, or 0 */
  unsigned port;
  const char *about; /* the address that won, or that `error` is about */
  bool bound;
  struct sockaddr_storage local;
  socklen_t local_n;
  char *text; /* the addresses, one NUL-terminated text behind another */
  char why[WHY_MAX];
};

/* --- addresses ------------------------------------------------------------------------------- */

static bool numeric(const char *text, unsigned port, struct sockaddr_storage *to, socklen_t *n) {
  struct addrinfo hints, *found = NULL;
  char service[16];
  memset(&hints, 0, sizeof hints);
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  snprintf(service, sizeof service, "%u", port);
  if (getaddrinfo(text, service, &hints, &found) != 0) return false;
  memcpy(to, found->ai_addr, found->ai_addrlen);
  *n = found->ai_addrlen;
  freeaddrinfo(found);
  return true;
}

static bool copy_text(struct lm_dial *d, const char *const *addresses, size_t n) {
  size_t total = 0, i;
  char *p;
  for (i = 0; i < n; i++) total += strlen(addresses[i]) + 1;
  p = d->text = malloc(total + 1);
  for (i = 0; p && i < n; i++) {
    d->attempt[i].text = p;
    d->attempt[i].fd = -1;
    p = strcpy(p, addresses[i]) + strlen(addresses[i]) + 1;
  }
  return p != NULL;
}

/* RFC 8305 §4: IPv6 first, then the families in turn, each in its own order. */
static void interleave(struct lm_dial *d, struct attempt *sorted) {
  size_t at[2] = {0, 0}, i;
  int turn = 0;
  for (i = 0; i < d->count; i++, turn = !turn) {
    int tried;
    for (tried = 0; tried < 2; tried++, turn = !turn) {
      sa_family_t family = turn ? AF_INET : AF_INET6;
      while (at[turn] < d->count && d->attempt[at[turn]].to.ss_family != family) at[turn]++;
      if (at[turn] < d->count) break;
    }
    sorted[i] = d->attempt[at[turn]++];
  }
}

static bool sort(struct lm_dial *d) {
  struct attempt *sorted = calloc(d->count + 1, sizeof *sorted);
  if (sorted == NULL) return false;
  interleave(d, sorted);
  free(d->attempt);
  d->attempt = sorted;
  return true;
}

/* Those that the local address cannot reach are left out. */
static void keep_family(struct lm_dial *d) {
  size_t i, kept = 0;
  for (i = 0; d->bound && i < d->count; i++) {
    if (d->attempt[i].to.ss_family == d->local.ss_family) d->attempt[kept++] = d->attempt[i];
  }
  if (d->bound) d->count = kept;
}

static const char *prepare(struct lm_dial *d, const char *const *addresses, size_t n,
                           const char *local) {
  size_t i;
  if (d->attempt == NULL || !copy_text(d, addresses, n)) return "out of memory";
  for (i = 0; i < n; i++) {
    struct attempt *a = &d->attempt[i];
    if (!numeric(a->text, d->port, &a->to, &a->to_n)) return "not a numeric address";
  }
  d->count = n;
  d->bound = local != NULL;
  if (local && !numeric(local, 0, &d->local, &d->local_n)) return "not a numeric local address";
  keep_family(d);
  if (d->count == 0) {
    return n ? "the local address is of another family" : "no address to connect to";
  }
  return sort(d) ? NULL : "out of memory";
}

struct lm_dial *lm_dial_new(const char *const *addresses, size_t n, unsigned port,
                            const char *local, const char **why_out) {
  struct lm_dial *d = calloc(1, sizeof *d);
  *why_out = "out of memory";
  if (d == NULL) return NULL;
  if (n > LM_DIAL_ADDRESSES) n = LM_DIAL_ADDRESSES;
  d->won = d->bundle.fd = -1;
  d->port = port;
  d->attempt = calloc(n + 1, sizeof *d->attempt);
  *why_out = prepare(d, addresses, n, local);
  if (*why_out == NULL) lm_bundle_open(&d->bundle);
  if (*why_out == NULL) return d;
  lm_dial_free(d);
  return NULL;
}

static void drop(struct lm_dial *d, struct attempt *a) {
  if (a->fd < 0) return;
  close(a->fd);
  a->fd = -1;
  d->open--;
}

void lm_dial_free(struct lm_dial *d) {
  size_t i;
  if (d == NULL) return;
  for (i = 0; i < d->begun; i++) drop(d, &d->attempt[i]);
  if (d->won >= 0) close(d->won);
  lm_bundle_close(&d->bundle);
  free(d->attempt);
  free(d->text);
  free(d);
}

/* --- attempts -------------------------------------------------------------------------------- */

/* How much an error says about the peer itself; ties go to the first. */
static int weight(int error) {
  switch (error) {
  case 0: return 0;
  case EAFNOSUPPORT:
  case ENETUNREACH:
  case EADDRNOTAVAIL: return 1;
  case EHOSTUNREACH:
  case EACCES:
  case EPERM: return 2;
  case ETIMEDOUT: return 3;
  case ECONNREFUSED:
  case ECONNRESET: return 4;
  default: return 2;
  }
}

static void failed(struct lm_dial *d, struct attempt *a, int error, double now) {
  drop(d, a);
  if (weight(error) > weight(d->error)) {
    d->error = error;
    d->about = a->text;
  }
  d->next = now;
}

static bool set_up(struct lm_dial *d, int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
#if defined(SO_NOSIGPIPE)
  setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
#if defined(IP_BIND_ADDRESS_NO_PORT)
  if (d->bound) setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
#endif
  return !d->bound || bind(fd, (const struct sockaddr *)&d->local, d->local_n) == 0;
}

static void win(struct lm_dial *d, struct attempt *a) {
  size_t i;
  lm_bundle_watch(&d->bundle, a->fd, false, false);
  d->won = a->fd;
  d->about = a->text;
  a->fd = -1;
  d->open--;
  for (i = 0; i < d->begun; i++) drop(d, &d->attempt[i]);
}

static void begin(struct lm_dial *d, double now) {
  struct attempt *a = &d->attempt[d->begun++];
  d->next = now + LM_DIAL_STAGGER_MS / 1000.0;
  a->fd = lm_net_socket(a->to.ss_family, SOCK_STREAM, 0);
  d->open += a->fd >= 0;
  if (a->fd < 0 || !set_up(d, a->fd)) {
    failed(d, a, errno, now);
  } else if (connect(a->fd, (const struct sockaddr *)&a->to, a->to_n) == 0) {
    win(d, a);
  } else if (errno == EINPROGRESS || errno == EINTR) {
    lm_bundle_watch(&d->bundle, a->fd, false, true);
  } else {
    failed(d, a, errno, now);
  }
}

static void settle(struct lm_dial *d, struct attempt *a, double now) {
  int error = 0;
  socklen_t n = sizeof error;
  if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0) error = errno;
  if (error) {
    failed(d, a, error, now);
  } else {
    win(d, a);
  }
}

static void look(struct lm_dial *d, double now) {
  struct pollfd fds[LM_DIAL_ADDRESSES];
  size_t i;
  if (d->open == 0) return;
  for (i = 0; i < d->begun; i++) {
    fds[i].fd = d->attempt[i].fd; /* a negative one is passed over */
    fds[i].events = POLLOUT;
    fds[i].revents = 0;
  }
  if (poll(fds, (nfds_t)d->begun, 0) <= 0) return;
  for (i = 0; i < d->begun && d->won < 0; i++) {
    if (fds[i].revents) settle(d, &d->attempt[i], now);
  }
}

/* --- moving on ------------------------------------------------------------------------------- */

static int wait_ms(const struct lm_dial *d, double now) {
  double ms = (d->next - now) * 1000;
  int most = d->begun < d->count ? (ms < 0 ? 0 : (int)ms + 1) : -1;
  return lm_bundle_patience(&d->bundle, most);
}

static int any_open(const struct lm_dial *d) {
  size_t i;
  for (i = d->begun; i-- > 0;) {
    if (d->attempt[i].fd >= 0) return d->attempt[i].fd;
  }
  return -1;
}

enum lm_dial_status lm_dial_step(struct lm_dial *d, double now, int *fd_out, bool *write_out,
                                 int *ms_out) {
  if (!lm_bundle_is_ours(&d->bundle)) return LM_DIAL_REFUSED;
  if (d->won < 0) look(d, now);
  while (d->won < 0 && d->begun < d->count && (d->begun == 0 || now >= d->next)) begin(d, now);
  if (d->won >= 0) return LM_DIAL_CONNECTED;
  if (d->open == 0) return LM_DIAL_REFUSED;
  *write_out = d->bundle.fd < 0;
  *fd_out = *write_out ? any_open(d) : d->bundle.fd;
  *ms_out = wait_ms(d, now);
  return LM_DIAL_WAIT;
}

int lm_dial_take(struct lm_dial *d) {
  int fd = d->won;
  d->won = -1;
  return fd;
}

const char *lm_dial_address(const struct lm_dial *d) {
  return d->about;
}

const char *lm_dial_why(struct lm_dial *d) {
  if (!lm_bundle_is_ours(&d->bundle)) return "the connection was begun by another process (fork)";
  snprintf(d->why, sizeof d->why, "cannot connect to %s port %u: %s",
           d->about ? d->about : "any address", d->port, strerror(d->error));
  return d->why;
}
