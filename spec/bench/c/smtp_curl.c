/* Peer: libcurl sending messages, with the easy interface on one connection or the multi interface
** on many.
**
** Options: port= n= size= connections= (1: easy) file= (one message from there instead).
** Connections are kept by curl's own cache; the message is handed over by a read callback from
** memory, as a program that has it as a string would.
*/
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static char *message;
static size_t message_n;

struct upload {
  CURL *easy;
  size_t at;
};

static size_t give(char *into, size_t size, size_t count, void *user) {
  struct upload *u = user;
  size_t n = size * count, left = message_n - u->at;
  if (n > left) n = left;
  memcpy(into, message + u->at, n);
  u->at += n;
  return n;
}

static size_t give_file(char *into, size_t size, size_t count, void *file) {
  return fread(into, size, count, file);
}

static void prepare(struct upload *u, const char *url, struct curl_slist *to) {
  u->easy = curl_easy_init();
  if (u->easy == NULL) bench_die("curl_easy_init");
  curl_easy_setopt(u->easy, CURLOPT_URL, url);
  curl_easy_setopt(u->easy, CURLOPT_MAIL_FROM, "bench@example.test");
  curl_easy_setopt(u->easy, CURLOPT_MAIL_RCPT, to);
  curl_easy_setopt(u->easy, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(u->easy, CURLOPT_READFUNCTION, give);
  curl_easy_setopt(u->easy, CURLOPT_READDATA, u);
  curl_easy_setopt(u->easy, CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024L);
  curl_easy_setopt(u->easy, CURLOPT_PRIVATE, u);
}

static void from_file(CURL *easy, const char *path) {
  FILE *f = fopen(path, "rb");
  char extra[64];
  if (f == NULL) bench_die(path);
  curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_file);
  curl_easy_setopt(easy, CURLOPT_READDATA, f);
  bench_begin();
  if (curl_easy_perform(easy) != CURLE_OK) bench_die("curl_easy_perform");
  snprintf(extra, sizeof extra, "octets=%ld", ftell(f));
  bench_end(1, extra);
  fclose(f);
}

static void one_by_one(struct upload *u, size_t n) {
  for (size_t i = 0; i < n; i++) {
    u->at = 0;
    if (curl_easy_perform(u->easy) != CURLE_OK) bench_die("curl_easy_perform");
  }
}

static size_t finished(CURLM *multi, size_t *left) {
  CURLMsg *m;
  int queued;
  size_t done = 0;
  while ((m = curl_multi_info_read(multi, &queued)) != NULL) {
    struct upload *u;
    CURL *easy = m->easy_handle;
    if (m->msg != CURLMSG_DONE || m->data.result != CURLE_OK) bench_die("curl transfer");
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&u);
    curl_multi_remove_handle(multi, easy);
    done++;
    if (*left == 0) continue;
    (*left)--;
    u->at = 0;
    curl_multi_add_handle(multi, easy);
  }
  return done;
}

static void all_at_once(struct upload *u, size_t connections, size_t n) {
  CURLM *multi = curl_multi_init();
  size_t done = 0, left = n - connections;
  int running = 0;
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)connections + 1);
  for (size_t i = 0; i < connections; i++) curl_multi_add_handle(multi, u[i].easy);
  while (done < n) {
    size_t k;
    if (curl_multi_perform(multi, &running) != CURLM_OK) bench_die("curl_multi_perform");
    k = finished(multi, &left);
    done += k;
    if (k == 0 && done < n) curl_multi_poll(multi, NULL, 0, 1000, NULL);
  }
  curl_multi_cleanup(multi);
}

int main(int argc, char **argv) {
  size_t n = bench_number(argv, "n", 1000), connections = bench_number(argv, "connections", 1);
  struct upload *u = calloc(connections, sizeof *u);
  struct curl_slist *to = curl_slist_append(NULL, "sink@example.test");
  char url[64];
  (void)argc;
  if (u == NULL) bench_die("calloc");
  curl_global_init(CURL_GLOBAL_DEFAULT);
  message = bench_message(bench_number(argv, "size", 10240), &message_n);
  snprintf(url, sizeof url, "smtp://127.0.0.1:%s/raw", bench_option(argv, "port", "25"));
  for (size_t i = 0; i < connections; i++) prepare(&u[i], url, to);
  if (bench_option(argv, "file", NULL) != NULL) {
    from_file(u->easy, bench_option(argv, "file", NULL));
    return 0;
  }
  if (connections == 1) one_by_one(u, 1); /* connects outside the clock */
  bench_begin();
  if (connections == 1)
    one_by_one(u, n);
  else
    all_at_once(u, connections, n);
  bench_end(n, "");
  return 0;
}
