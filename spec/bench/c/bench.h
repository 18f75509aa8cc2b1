/* What the benchmark programs share: options, sockets on the loopback, clocks, the result line, the
** scan for CRLF.CRLF.
**
** None of this is part of the library. The programs beside this header are sinks (servers that cost
** next to nothing), ceilings (clients that do the unavoidable system calls and no more) and peers
** (other libraries doing the same work). Every client prints one line that run.lua reads:  bench
** n=... cpu=... wall=... rss=... [name=value]... with cpu and wall in seconds, counted from
** bench_begin, and rss (the peak) in KiB.
*/
#ifndef LM_BENCH_H
#define LM_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define BENCH_READ (256 * 1024) /* one recv: the ceilings gain nothing from more */
#define BENCH_TAIL 256 /* room kept before a read buffer for what the last read left over */

/* Option `name` of the arguments, which all read name=value; `otherwise` where it is missing. */
const char *bench_option(char **argv, const char *name, const char *otherwise);
size_t bench_number(char **argv, const char *name, size_t otherwise);

/* Ends the program with a line on stderr, the reason of errno included. */
void bench_die(const char *what);

/* A TCP connection to 127.0.0.1:port= (blocking, TCP_NODELAY), or the end of the program. */
int bench_connect(char **argv);
void bench_nonblocking(int fd);
void bench_send(int fd, const char *bytes, size_t n);

/* Reads one whole line into `line` (NUL at the end, cut at `room`), a byte at a time: for
** greetings, outside the clock. */
void bench_line(int fd, char *line, size_t room);

/* Sends a command and reads until a line starts with `want`: for logging in, outside the clock. */
void bench_say(int fd, const char *command, const char *want);

/* A listening socket on a free port of 127.0.0.1. Prints "port=... pid=..." and goes on in a child
** process whose standard output is closed, so that the caller knows the port and the id, and that
** connections are accepted, once it has the line. The child ends by itself after ten minutes: a
** driver that dies leaves nothing behind for long. */
int bench_serve(void);

/* An epoll descriptor with `fd` in it, tagged `data`; bench_watch adds or changes one. */
int bench_epoll(void);
void bench_watch(int epfd, int fd, unsigned events, void *data, bool change);

double bench_wall(void);
double bench_cpu(void);
long bench_rss_now(void); /* KiB */

/* The clocks run from bench_begin to bench_pause or bench_end; what bench_pause has counted stays. */
void bench_begin(void);
void bench_pause(void);
void bench_end(size_t n, const char *extra); /* extra: more name=value, or "" */

/* First byte after CRLF.CRLF in [p, end), or NULL. Goes from newline to newline with memchr. */
const char *bench_dot_end(const char *p, const char *end);

/* A message of about `size` bytes of quoted text: headers, lines of 76, no line that starts with a
** dot; ends with CRLF. */
char *bench_message(size_t size, size_t *n_out);

/* A corpus is a file of messages, each behind its size in four octets, the lowest first. Reads up to
** `room` of them, into memory that the next call uses again; returns how many, 0 at the end. */
struct bench_mail {
  char *p;
  size_t n;
  size_t cap;
};
#define BENCH_BATCH 100
size_t bench_mails(FILE *corpus, struct bench_mail *list, size_t room);

#endif
