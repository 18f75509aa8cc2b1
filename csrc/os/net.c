/*
** net.c: a connected, non-blocking socket that reads into a link and writes from it.
*/
#define _GNU_SOURCE /* accept4, SOCK_CLOEXEC */
#include "os/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

enum { ASKED_NOTHING, ASKED_READ, ASKED_READWRITE };

void lm_net_init(struct lm_net *n, int fd, struct lm_home *home) {
  memset(n, 0, sizeof *n);
  n->fd = fd;
  n->home = lm_home_hold(home);
  n->writable = true;
}

long lm_net_read(int fd, char *p, size_t n) {
  ssize_t got;
  do {
    got = recv(fd, p, n, 0);
  } while (got < 0 && errno == EINTR);
  return (long)got;
}

long lm_net_write(int fd, const char *p, size_t n) {
  ssize_t sent;
  do {
    sent = send(fd, p, n, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return (long)sent;
}

static bool would_block(void) {
  return errno == EAGAIN || errno == EWOULDBLOCK;
}

/* Reads where the bytes will stay, or, where little is expected, by way of the stack: then the session
** keeps as much memory as came, not as much as might have come. Returns as lm_net_read; the room that
** there was to *room_out. */
static long read_into(struct lm_net *n, struct lm_wire *w, size_t *room_out) {
  char scratch[LM_WIRE_LITTLE];
  long got;
  char *p;
  if (lm_wire_expects_little(w)) {
    *room_out = sizeof scratch;
    got = lm_net_read(n->fd, scratch, sizeof scratch);
    if (got > 0) lm_wire_feed(w, (struct lm_str){scratch, (size_t)got});
    return got;
  }
  if ((p = lm_wire_room(w, room_out)) == NULL) return 0; /* the wire has failed */
  if (n->brief && *room_out > LM_NET_BRIEF) *room_out = LM_NET_BRIEF;
  got = lm_net_read(n->fd, p, *room_out);
  if (got > 0) lm_wire_fed(w, (size_t)got);
  return got;
}

/* One read into the link; true where bytes, or the end, came in. */
static bool read_once(struct lm_net *n, struct lm_link *l) {
  struct lm_wire *w = lm_link_outer(l);
  size_t room = 0;
  long got = read_into(n, w, &room);
  if (got < 0 && would_block()) {
    n->readable = false;
    return false;
  }
  if (got > 0) {
    n->received += (size_t)got;
    n->burst += (size_t)got;
    n->readable = (size_t)got == room;
  } else {
    if (got < 0) n->error = errno;
    n->readable = false;
    lm_wire_eof(w);
  }
  if (l->filter[0] != NULL) lm_link_turn(l);
  return true;
}

/* Sends until nothing is left or the socket is full, once where time is short; true where bytes
** moved. */
static bool send_pending(struct lm_net *n, struct lm_link *l) {
  struct lm_wire *w = lm_link_outer(l);
  bool moved = false;
  if (l->wire->listen_first && lm_wire_output(w).n && !w->eof && read_once(n, l)) return true;
  while (n->writable && !n->broken) {
    struct lm_str out = lm_wire_output(w);
    long sent;
    if (out.n == 0) break;
    if (n->brief && out.n > LM_NET_BRIEF) out.n = LM_NET_BRIEF;
    sent = lm_net_write(n->fd, out.p, out.n);
    if (sent < 0) {
      n->writable = false;
      n->broken = !would_block();
      if (n->broken) n->error = errno;
      break;
    }
    lm_wire_sent(w, (size_t)sent);
    n->sent += (size_t)sent;
    n->burst += (size_t)sent;
    n->writable = (size_t)sent == out.n;
    moved = true;
    if (l->filter[0] != NULL) lm_link_turn(l);
    if (n->brief) break;
  }
  return moved;
}

enum lm_net_turn lm_net_turn(struct lm_net *n, struct lm_link *l) {
  struct lm_wire *w = lm_link_outer(l);
  bool moved;
  if (!lm_home_is_here(n->home)) return LM_NET_FOREIGN;
  if (n->asked) {
    n->readable = true;
    if (n->asked == ASKED_READWRITE) n->writable = true;
    n->asked = ASKED_NOTHING;
  } else if (n->burst >= LM_NET_BURST) {
    n->burst = 0;
    return LM_NET_PAUSE;
  }
  lm_link_brief(l, n->brief);
  if (l->filter[0] != NULL) lm_link_turn(l);
  moved = send_pending(n, l);
  if (moved && n->brief) return LM_NET_MOVED;
  if (n->broken && !w->eof) n->readable = true;
  if (n->readable && !w->eof && read_once(n, l)) moved = true;
  if (moved) return LM_NET_MOVED;
  if (w->eof) {
    if (n->told) return LM_NET_ENDED;
    n->told = true;
    return LM_NET_MOVED;
  }
  n->burst = 0;
  n->asked = lm_wire_output(w).n && !n->broken ? ASKED_READWRITE : ASKED_READ;
  return n->asked == ASKED_READWRITE ? LM_NET_READWRITE : LM_NET_READ;
}

bool lm_net_flush(struct lm_net *n, struct lm_link *l) {
  if (!lm_home_is_here(n->home)) return true;
  lm_link_brief(l, n->brief);
  if (l->filter[0] != NULL) lm_link_turn(l);
  send_pending(n, l);
  return n->broken || lm_wire_output(lm_link_outer(l)).n == 0;
}

static struct addrinfo *numeric(const char *address, const char *port) {
  struct addrinfo hints, *list = NULL;
  int rc;
  memset(&hints, 0, sizeof hints);
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  rc = getaddrinfo(address, port, &hints, &list);
  if (rc != 0) {
    errno = rc == EAI_SYSTEM ? errno : EINVAL;
    return NULL;
  }
  return list;
}

int lm_net_socket(int family, int type, int protocol) {
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
  return socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
#else
  int fd = socket(family, type, protocol);
  if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
  if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return fd;
#endif
}

int lm_net_unix(const char *path) {
  struct sockaddr_un a;
  size_t n = strlen(path);
  int fd, saved;
  if (n >= sizeof a.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memset(&a, 0, sizeof a);
  a.sun_family = AF_UNIX;
  memcpy(a.sun_path, path, n);
  fd = lm_net_socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (const struct sockaddr *)&a, sizeof a) == 0) return fd;
  saved = errno;
  close(fd);
  errno = saved;
  return -1;
}

void lm_net_ignore_sigpipe(void) {
  struct sigaction now;
  if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
}

size_t lm_net_octets(const char *text, unsigned char out[16]) {
  if (inet_pton(AF_INET, text, out) == 1) return 4;
  return inet_pton(AF_INET6, text, out) == 1 ? 16 : 0;
}

int lm_net_listen(const char *address, const char *port, int backlog) {
  struct addrinfo *a = numeric(address, port);
  int on = 1, fd, saved;
  if (a == NULL) return -1;
  fd = lm_net_socket(a->ai_family, SOCK_STREAM, 0);
  if (fd >= 0) {
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, backlog) != 0) {
      saved = errno;
      close(fd);
      errno = saved;
      fd = -1;
    }
  }
  freeaddrinfo(a);
  return fd;
}

int lm_net_accept(int fd) {
  int on = 1, got;
  do {
    got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got >= 0) setsockopt(got, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return got;
}

bool lm_net_name(int fd, bool peer, char *address, size_t size, unsigned *port_out) {
  struct sockaddr_storage a;
  socklen_t n = sizeof a;
  char port[8];
  int rc = peer ? getpeername(fd, (struct sockaddr *)&a, &n)
                : getsockname(fd, (struct sockaddr *)&a, &n);
  if (rc != 0) return false;
  if (a.ss_family != AF_INET && a.ss_family != AF_INET6) {
    errno = EAFNOSUPPORT;
    return false;
  }
  rc = getnameinfo((struct sockaddr *)&a, n, address, (socklen_t)size, port, sizeof port,
                   NI_NUMERICHOST | NI_NUMERICSERV);
  if (rc != 0) {
    errno = EINVAL;
    return false;
  }
  *port_out = (unsigned)strtoul(port, NULL, 10);
  return true;
}

bool lm_net_hostname(char *name, size_t size) {
  if (gethostname(name, size) != 0) return false;
  name[size - 1] = '\0';
  return true;
}

void lm_net_close(struct lm_net *n) {
  if (n->fd >= 0) close(n->fd);
  n->fd = -1;
  lm_home_drop(n->home);
  n->home = NULL;
}
