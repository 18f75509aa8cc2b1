/* The ceiling of IMAP: one command, its whole answer received and thrown away; plain, or through
** OpenSSL memory BIOs.
**
** Options: port= user= password= tls=1 n= (messages, for the result line) fetch= (what stands
** behind UID FETCH) record=FILE: keeps the untagged part of the answer, which the isolated parsing
** workload replays.
*/
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench.h"

#define TAG "Z9 "

static struct {
  int fd;
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

static void put(const char *text) {
  size_t n = strlen(text);
  if (link_.ssl == NULL) {
    bench_send(link_.fd, text, n);
    return;
  }
  if (SSL_write(link_.ssl, text, (int)n) != (int)n) bench_die("SSL_write");
  flush_tls();
}

static size_t get(char *into, size_t room) {
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

/* Is the line that ends at `end` the answer's last? Literals in the corpus hold no such line. */
static bool finished(const char *start, const char *end) {
  const char *line;
  if (end - start < 2 || end[-1] != '\n') return false;
  line = memrchr(start, '\n', (size_t)(end - start - 1));
  line = line == NULL ? start : line + 1;
  return memcmp(line, TAG, sizeof TAG - 1) == 0;
}

/* Receives until the tagged line is in; returns the octets, gives what came to `record` where that
** is not NULL. */
static size_t discard(FILE *record) {
  static char room[BENCH_TAIL + BENCH_READ];
  char *const data = room + BENCH_TAIL;
  size_t octets = 0, n, tail = 0;
  for (;;) {
    n = get(data, BENCH_READ);
    octets += n;
    if (record != NULL) fwrite(data, 1, n, record);
    if (finished(data - tail, data + n)) return octets;
    tail = n > BENCH_TAIL ? BENCH_TAIL : n;
    memmove(data - tail, data + n - tail, tail);
  }
}

static void greeting(void) {
  char line[2048];
  size_t n = 0;
  while (n == 0 || line[n - 1] != '\n') n += get(line + n, sizeof line - n);
}

static void run(const char *format, const char *a, const char *b) {
  char command[512];
  snprintf(command, sizeof command, format, a, b);
  put(command);
  discard(NULL);
}

int main(int argc, char **argv) {
  char command[512], extra[64];
  const char *file = bench_option(argv, "record", NULL);
  FILE *record = file != NULL ? fopen(file, "wb") : NULL;
  size_t octets;
  (void)argc;
  link_.fd = bench_connect(argv);
  if (bench_number(argv, "tls", 0)) handshake();
  greeting();
  run(TAG "LOGIN %s %s\r\n", bench_option(argv, "user", "tester"),
      bench_option(argv, "password", "secret"));
  run(TAG "EXAMINE INBOX%s%s\r\n", "", "");
  snprintf(command, sizeof command, TAG "UID FETCH %s\r\n",
           bench_option(argv, "fetch", "1:* BODY.PEEK[]"));
  bench_begin();
  put(command);
  octets = discard(record);
  snprintf(extra, sizeof extra, "octets=%zu", octets);
  bench_end(bench_number(argv, "n", 1), extra);
  return record != NULL && fclose(record) != 0;
}
