/* The ceiling of sending over TLS: one connection, one wait, one write and one read a message,
** nothing built and nothing parsed but the encryption.
**
** As smtp_raw.c, which has many connections and no TLS: content, dot and the next envelope in one
** flight, and the reply lines counted. Options: port= n= (messages) size= (octets) tls=1
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "link.h"

static const char envelope[] =
    "MAIL FROM:<bench@example.test>\r\nRCPT TO:<sink@example.test>\r\nDATA\r\n";

static void replies(int due) {
  char buf[4096];
  while (due > 0) {
    size_t n;
    bench_link_wait();
    n = bench_get(buf, sizeof buf);
    for (const char *p = buf; (p = memchr(p, '\n', (size_t)(buf + n - p))) != NULL; p++) due--;
  }
}

int main(int argc, char **argv) {
  size_t n = bench_number(argv, "n", 1000), size, done;
  char *message = bench_message(bench_number(argv, "size", 10240), &size), line[256];
  char *flight = realloc(message, size + 3 + sizeof envelope);
  (void)argc;
  if (flight == NULL) bench_die("realloc");
  memcpy(flight + size, ".\r\n", 3);
  memcpy(flight + size + 3, envelope, sizeof envelope - 1);
  bench_link_open(argv);
  bench_get_line(line, sizeof line);
  bench_ask("EHLO raw\r\n", "250 ");
  bench_begin();
  bench_put(envelope, sizeof envelope - 1);
  replies(3);
  for (done = 0; done < n; done++) {
    bool more = done + 1 < n;
    bench_put(flight, size + 3 + (more ? sizeof envelope - 1 : 0));
    replies(more ? 4 : 1);
  }
  bench_end(done, "");
  return 0;
}
