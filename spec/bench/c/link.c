/* The one connection of a ceiling; link.h says what each function is for. */
#include "link.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "bench.h"

static struct {
  int fd;
  int epfd; /* 0: nobody has waited by it */
  SSL *ssl; /* NULL: plain */
  BIO *in;
  BIO *out;
} link_;

static char cipher[BENCH_READ];

static void flush_tls(void) {
  char *p;
  long n = BIO_get_mem_data(link_.out, &p);
  bench_send(link_.fd, p, (size_t)n);
  if (BIO_reset(link_.out) != 1) bench_die("BIO_reset");
}

static void fill_tls(void) {
  ssize_t n = recv(link_.fd, cipher, sizeof cipher, 0);
  if (n <= 0 || BIO_write(link_.in, cipher, (int)n) != (int)n) bench_die("recv");
}

static void handshake(void) {
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
  link_.ssl = SSL_new(ctx);
  link_.in = BIO_new(BIO_s_mem());
  link_.out = BIO_new(BIO_s_mem());
  SSL_set_bio(link_.ssl, link_.in, link_.out);
  SSL_set_connect_state(link_.ssl);
  while (SSL_do_handshake(link_.ssl) != 1) {
    if (SSL_get_error(link_.ssl, -1) != SSL_ERROR_WANT_READ) bench_die("handshake");
    flush_tls();
    fill_tls();
  }
  flush_tls();
}

void bench_link_open(char **argv) {
  link_.fd = bench_connect(argv);
  if (bench_number(argv, "tls", 0)) handshake();
}

void bench_link_wait(void) {
  struct epoll_event ready;
  if (link_.epfd == 0) {
    link_.epfd = bench_epoll();
    bench_watch(link_.epfd, link_.fd, EPOLLIN, NULL, false);
  }
  if (epoll_wait(link_.epfd, &ready, 1, -1) != 1) bench_die("epoll_wait");
}

void bench_put(const char *bytes, size_t n) {
  if (link_.ssl == NULL) {
    bench_send(link_.fd, bytes, n);
    return;
  }
  if (SSL_write(link_.ssl, bytes, (int)n) != (int)n) bench_die("SSL_write");
  flush_tls();
}

size_t bench_get(char *into, size_t room) {
  ssize_t n;
  if (link_.ssl == NULL) {
    n = recv(link_.fd, into, room, 0);
    if (n <= 0) bench_die("recv");
    return (size_t)n;
  }
  while ((n = SSL_read(link_.ssl, into, (int)room)) <= 0) {
    if (SSL_get_error(link_.ssl, (int)n) != SSL_ERROR_WANT_READ) bench_die("SSL_read");
    fill_tls();
  }
  return (size_t)n;
}

void bench_get_line(char *line, size_t room) {
  size_t n = 0;
  char c = 0;
  while (c != '\n') {
    bench_get(&c, 1);
    if (n + 1 < room) line[n++] = c;
  }
  line[n] = '\0';
}

void bench_ask(const char *command, const char *want) {
  char line[1024];
  bench_put(command, strlen(command));
  do {
    bench_get_line(line, sizeof line);
    errno = 0;
    if (strstr(line, " NO ") != NULL || strstr(line, "-ERR") == line || line[0] == '5')
      bench_die(line);
  } while (strncmp(line, want, strlen(want)) != 0);
}
