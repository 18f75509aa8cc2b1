/* The one connection of a ceiling, plain or through OpenSSL's memory BIOs: what a client with TLS of
** its own cannot do with less. Blocking.
*/
#ifndef LM_BENCH_LINK_H
#define LM_BENCH_LINK_H

#include <stddef.h>

/* Connects as bench_connect does; with tls=1 the handshake follows. Certificates are not looked at:
** that is outside the clock. */
void bench_link_open(char **argv);

void bench_put(const char *bytes, size_t n);

/* Waits by epoll until there is something to read, as whoever has more than one connection must. */
void bench_link_wait(void);

/* What comes, at least one octet and at most `room`. */
size_t bench_get(char *into, size_t room);

/* A line, and a command with the line that is waited for; as bench_line and bench_say. */
void bench_get_line(char *line, size_t room);
void bench_ask(const char *command, const char *want);

#endif
