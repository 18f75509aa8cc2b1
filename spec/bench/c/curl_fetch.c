/* Peer: libcurl fetching messages one after the other on one connection, the bodies handed to a
** callback.
**
** Options: scheme=pop3|imap (with an s: TLS, unverified) port= user= password= n= file= (write
** there instead of counting)
*/
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static size_t octets;

static size_t take(char *p, size_t size, size_t count, void *file) {
  (void)p;
  octets += size * count;
  return file == NULL ? size * count : fwrite(p, size, count, file);
}

int main(int argc, char **argv) {
  const char *scheme = bench_option(argv, "scheme", "pop3"),
             *path = bench_option(argv, "file", NULL);
  bool imap = strncmp(scheme, "imap", 4) == 0;
  size_t n = bench_number(argv, "n", 1);
  CURL *easy;
  char url[128], extra[64];
  (void)argc;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  easy = curl_easy_init();
  curl_easy_setopt(easy, CURLOPT_USERNAME, bench_option(argv, "user", "tester"));
  curl_easy_setopt(easy, CURLOPT_PASSWORD, bench_option(argv, "password", "secret"));
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, path != NULL ? fopen(path, "wb") : NULL);
  bench_begin();
  for (size_t i = 1; i <= n; i++) {
    snprintf(url, sizeof url, imap ? "%s://127.0.0.1:%s/INBOX/;UID=%zu" : "%s://127.0.0.1:%s/%zu",
             scheme, bench_option(argv, "port", "110"), i);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    if (curl_easy_perform(easy) != CURLE_OK) bench_die("curl_easy_perform");
  }
  snprintf(extra, sizeof extra, "octets=%zu", octets);
  bench_end(n, extra);
  curl_easy_cleanup(easy);
  return 0;
}
