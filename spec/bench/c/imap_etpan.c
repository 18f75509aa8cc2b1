/* Peer: libetpan fetching metadata into its structures, or whole messages, a hundred a command.
**
** Options: port= tls=1 user= password= n= per=100 what=meta|body
** replay=FILE (no socket): its parser fed from memory with a recorded answer of the same metadata,
** cut into answers of `per` messages; the stream's read and write are then the only work beside it.
*/
#include <libetpan/libetpan.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* A mailstream that answers from memory: every line written (a command) earns the next `per`
** recorded responses. */
static struct {
  char *data;
  size_t n;
  size_t at;
  size_t stop; /* end of what the current command earns */
  size_t per;
  char tagged[64]; /* what follows it */
  size_t tagged_n;
  size_t tagged_at;
} tape;

static size_t skip_responses(size_t at, size_t count) {
  static const char mark[] = "\r\n* ";
  while (count > 0 && at < tape.n) {
    const char *p = memmem(tape.data + at, tape.n - at, mark, sizeof mark - 1);
    at = p == NULL ? tape.n : (size_t)(p - tape.data) + 2;
    count--;
  }
  return at;
}

static void command_written(const char *line, size_t n) {
  int tag = (int)strtol(line, NULL, 10);
  bool fetch = memmem(line, n, "FETCH", 5) != NULL;
  tape.tagged_n = (size_t)snprintf(tape.tagged, sizeof tape.tagged, "%d OK done\r\n", tag);
  tape.tagged_at = 0;
  if (fetch) tape.stop = skip_responses(tape.at, tape.per);
}

static ssize_t tape_write(mailstream_low *s, const void *bytes, size_t n) {
  static char line[1024];
  static size_t held;
  (void)s;
  if (held + n > sizeof line) bench_die("command too long");
  memcpy(line + held, bytes, n);
  held += n;
  if (line[held - 1] == '\n') {
    command_written(line, held);
    held = 0;
  }
  return (ssize_t)n;
}

static ssize_t tape_read(mailstream_low *s, void *into, size_t room) {
  size_t n = tape.stop - tape.at;
  (void)s;
  if (n > 0) {
    if (n > room) n = room;
    memcpy(into, tape.data + tape.at, n);
    tape.at += n;
    return (ssize_t)n;
  }
  n = tape.tagged_n - tape.tagged_at;
  if (n > room) n = room;
  memcpy(into, tape.tagged + tape.tagged_at, n);
  tape.tagged_at += n;
  return (ssize_t)n;
}

static int tape_close(mailstream_low *s) {
  return (void)s, 0;
}
static int tape_get_fd(mailstream_low *s) {
  return (void)s, -1;
}
static void tape_free(mailstream_low *s) {
  free(s);
}
static void tape_cancel(mailstream_low *s) {
  (void)s;
}

static mailstream_low_driver tape_driver = {
    .mailstream_read = tape_read,
    .mailstream_write = tape_write,
    .mailstream_close = tape_close,
    .mailstream_get_fd = tape_get_fd,
    .mailstream_free = tape_free,
    .mailstream_cancel = tape_cancel,
};

static void load(const char *path) {
  FILE *f = fopen(path, "rb");
  if (f == NULL || fseek(f, 0, SEEK_END) != 0) bench_die(path);
  tape.n = (size_t)ftell(f);
  rewind(f);
  tape.data = malloc(tape.n);
  if (tape.data == NULL || fread(tape.data, 1, tape.n, f) != tape.n) bench_die(path);
  fclose(f);
  tape.n = (size_t)((char *)memrchr(tape.data, '\n', tape.n - 1) - tape.data) +
           1; /* the tagged line goes */
}

static void check(int r, const char *what) {
  if (r != MAILIMAP_NO_ERROR && r != MAILIMAP_NO_ERROR_AUTHENTICATED &&
      r != MAILIMAP_NO_ERROR_NON_AUTHENTICATED) {
    fprintf(stderr, "bench: libetpan: %s: error %d\n", what, r);
    exit(1);
  }
}

static void connect_to(mailimap *imap, char **argv) {
  uint16_t port = (uint16_t)bench_number(argv, "port", 143);
  const char *replay = bench_option(argv, "replay", NULL);
  if (replay != NULL) {
    load(replay);
    tape.per = bench_number(argv, "per", 100);
    tape.tagged_n = (size_t)snprintf(tape.tagged, sizeof tape.tagged, "* OK ready\r\n");
    check(mailimap_connect(imap, mailstream_new(mailstream_low_new(NULL, &tape_driver), 8192)),
          "connect");
  } else if (bench_number(argv, "tls", 0)) {
    check(mailimap_ssl_connect(imap, "127.0.0.1", port), "connect");
  } else {
    check(mailimap_socket_connect(imap, "127.0.0.1", port), "connect");
  }
  check(mailimap_login(imap, bench_option(argv, "user", "tester"),
                       bench_option(argv, "password", "secret")),
        "login");
  check(mailimap_examine(imap, "INBOX"), "examine");
}

static struct mailimap_fetch_type *items(bool metadata) {
  struct mailimap_fetch_type *list = mailimap_fetch_type_new_fetch_att_list_empty();
  mailimap_fetch_type_new_fetch_att_list_add(list, mailimap_fetch_att_new_uid());
  if (metadata) {
    mailimap_fetch_type_new_fetch_att_list_add(list, mailimap_fetch_att_new_flags());
    mailimap_fetch_type_new_fetch_att_list_add(list, mailimap_fetch_att_new_internaldate());
    mailimap_fetch_type_new_fetch_att_list_add(list, mailimap_fetch_att_new_rfc822_size());
    mailimap_fetch_type_new_fetch_att_list_add(list, mailimap_fetch_att_new_envelope());
    mailimap_fetch_type_new_fetch_att_list_add(list, mailimap_fetch_att_new_bodystructure());
  } else {
    mailimap_fetch_type_new_fetch_att_list_add(
        list, mailimap_fetch_att_new_body_peek_section(mailimap_section_new(NULL)));
  }
  return list;
}

int main(int argc, char **argv) {
  size_t n = bench_number(argv, "n", 10000), per = bench_number(argv, "per", 100), got = 0;
  bool metadata = strcmp(bench_option(argv, "what", "meta"), "meta") == 0;
  mailimap *imap = mailimap_new(0, NULL);
  struct mailimap_fetch_type *what = items(metadata);
  (void)argc;
  connect_to(imap, argv);
  bench_begin();
  for (size_t first = 1; first <= n; first += per) {
    struct mailimap_set *set =
        mailimap_set_new_interval((uint32_t)first, (uint32_t)(first + per - 1));
    clist *result = NULL;
    check(mailimap_uid_fetch(imap, set, what, &result), "fetch");
    got += (size_t)clist_count(result);
    mailimap_fetch_list_free(result);
    mailimap_set_free(set);
  }
  bench_end(got, "");
  return 0;
}
