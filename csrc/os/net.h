/*
** net.h: a connected, non-blocking socket that reads into a link and writes from it.
**
** Never blocks, never raises SIGPIPE. A reset is reported as the end of the stream, behind whatever
** the peer still managed to say.
*/
#ifndef LM_OS_NET_H
#define LM_OS_NET_H

#include "base/link.h"
#include "os/home.h"

struct lm_net {
  int fd;            /* -1 once closed */
  int error;         /* errno of the failure that ended the stream, or 0 */
  bool readable;     /* a read may find something */
  bool writable;     /* a write may find room */
  bool broken;       /* writing has failed; what is unread may still explain why */
  uint8_t asked;     /* what the last turn asked the caller to wait for */
  bool brief;        /* the caller counts its time: one short move a turn */
  bool rested;       /* the caller has just let others run: the next move is due */
  size_t burst;      /* bytes moved since the caller last waited */
  bool told;         /* the session was asked once since the stream ended */
  uint64_t received; /* octets, for whoever counts */
  uint64_t sent;
  struct lm_home *home; /* whose it is: no other process reads or writes; NULL: anybody's */
};

enum lm_net_turn {
  LM_NET_MOVED,     /* bytes moved: ask the session, then turn again */
  LM_NET_READ,      /* wait until readable, then turn again */
  LM_NET_READWRITE, /* wait until readable or writable, then turn again */
  LM_NET_PAUSE,     /* the byte budget of one turn is used up: let others run, then turn again */
  LM_NET_ENDED,     /* the stream has ended, the session has seen it, and nothing will come */
  LM_NET_FOREIGN    /* opened by another process: this one is a child of fork(2) */
};

enum {
  LM_NET_BURST = 524288, /* how much one session may move before others have their turn */
  LM_NET_BRIEF = 65536   /* the most that a brief move reads or sends */
};

/* Takes over `fd`, and holds `home` (NULL is fine). */
void lm_net_init(struct lm_net *n, int fd, struct lm_home *home);

/* Sends what is pending and reads what has come: at most one read. Where `brief` is set, one read or
** one write of LM_NET_BRIEF bytes: the longest that it takes is then one step of a TLS handshake. */
enum lm_net_turn lm_net_turn(struct lm_net *n, struct lm_link *l);

/* Sends what can be sent without waiting; true when nothing is left. */
bool lm_net_flush(struct lm_net *n, struct lm_link *l);

/* Plain bytes, for transports and tests. Returns the count, 0 at the end of the stream (read), or
** -1 with errno; EAGAIN means: wait. */
long lm_net_read(int fd, char *p, size_t n);
long lm_net_write(int fd, const char *p, size_t n);

/* socket(2), non-blocking and close-on-exec from the start. */
int lm_net_socket(int family, int type, int protocol);

/* A connection to a Unix socket; -1 with errno (EAGAIN: its listener has no room at the moment). */
int lm_net_unix(const char *path);

/* A numeric address as octets in network order: 4 or 16 of them, 0 where it is none. */
size_t lm_net_octets(const char *text, unsigned char out[16]);

/* For loops whose own writes raise SIGPIPE where the peer has gone: from now on they fail instead.
** Whoever has chosen something else for that signal keeps it. */
void lm_net_ignore_sigpipe(void);

/* A listening socket on a numeric address; port 0 picks one. -1 with errno on failure. */
int lm_net_listen(const char *address, const char *port, int backlog);

/* The next connection as a non-blocking descriptor, or -1 with errno (EAGAIN: none waits). */
int lm_net_accept(int fd);

/* The local (or the peer's) numeric address and port of a socket; false with errno. */
bool lm_net_name(int fd, bool peer, char *address, size_t size, unsigned *port_out);

/* This host's own name, NUL-terminated; false with errno. */
bool lm_net_hostname(char *name, size_t size);

/* Idempotent. Nothing is said to the peer; in a child only its own copy of the descriptor goes. */
void lm_net_close(struct lm_net *n);

#endif
