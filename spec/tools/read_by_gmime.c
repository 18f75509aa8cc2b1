/*
** read_by_gmime.c FILE...: what GMime reads of each message, in the form of read_by_python.py.
**
** GMime is no package of the suite: its answers are kept in spec/data/mime/gmime.txt, which
** spec/message_peers_spec.lua reads. Made again where messages were added:
**   cc spec/tools/read_by_gmime.c $(pkg-config --cflags --libs gmime-3.0) -o build/read_by_gmime
**   build/read_by_gmime spec/data/mime/(every message).eml > spec/data/mime/gmime.txt
*/
#include <gmime/gmime.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void put(const char *s, size_t n) {
  size_t i;
  for (i = 0; i < n; i++) {
    unsigned char c = (unsigned char)s[i];
    if (c < 32 || c > 126 || c == '\\')
      printf("\\x%02X", c);
    else
      putchar(c);
  }
}

static void begin(const char *file, const char *field) {
  printf("%s\t%s\t", file, field);
}

/* A part that is a message: its content; NULL for others. */
static GMimeObject *inside(GMimeObject *part) {
  GMimeMessage *m = GMIME_IS_MESSAGE_PART(part)
                        ? g_mime_message_part_get_message((GMimeMessagePart *)part)
                        : NULL;
  return m ? g_mime_message_get_mime_part(m) : NULL;
}

static void tree(GMimeObject *part) {
  char *type = g_mime_content_type_get_mime_type(g_mime_object_get_content_type(part));
  int i, n = GMIME_IS_MULTIPART(part) ? g_mime_multipart_get_count((GMimeMultipart *)part) : 0;
  char *lower = g_ascii_strdown(type, -1);
  printf("%s", lower);
  for (i = 0; i < n; i++) {
    printf(i ? ", " : "(");
    tree(g_mime_multipart_get_part((GMimeMultipart *)part, i));
  }
  if (inside(part)) {
    printf("(");
    tree(inside(part));
  }
  if (n || inside(part)) printf(")");
  g_free(lower);
  g_free(type);
}

/* CRC-32 of IEEE 802.3 */
static guint32 sum(const guint8 *p, guint n) {
  guint32 c = 0xFFFFFFFF;
  while (n--) {
    int bit;
    c ^= *p++;
    for (bit = 0; bit < 8; bit++) c = c & 1 ? c >> 1 ^ 0xEDB88320 : c >> 1;
  }
  return ~c;
}

/* What `leaf` tells of each leaf, `between` between. */
static void leaves(GMimeObject *part, bool (*leaf)(GMimePart *, bool), bool *any) {
  int i, n = GMIME_IS_MULTIPART(part) ? g_mime_multipart_get_count((GMimeMultipart *)part) : 0;
  for (i = 0; i < n; i++) leaves(g_mime_multipart_get_part((GMimeMultipart *)part, i), leaf, any);
  if (inside(part)) leaves(inside(part), leaf, any);
  if (GMIME_IS_PART(part) && leaf((GMimePart *)part, *any)) *any = true;
}

static bool body(GMimePart *part, bool any) {
  GMimeDataWrapper *content = g_mime_part_get_content(part);
  GMimeStream *stream = g_mime_stream_mem_new();
  GByteArray *octets;
  if (content) g_mime_data_wrapper_write_to_stream(content, stream);
  octets = g_mime_stream_mem_get_byte_array((GMimeStreamMem *)stream);
  printf("%s%u/%08x", any ? " " : "", octets->len, sum(octets->data, octets->len));
  g_object_unref(stream);
  return true;
}

static bool name(GMimePart *part, bool any) {
  const char *text = g_mime_part_get_filename(part);
  if (text == NULL) return false;
  if (any) printf("|");
  put(text, strlen(text));
  return true;
}

static void addresses(InternetAddressList *list, bool *any) {
  int i, n = list ? internet_address_list_length(list) : 0;
  for (i = 0; i < n; i++) {
    InternetAddress *a = internet_address_list_get_address(list, i);
    if (INTERNET_ADDRESS_IS_GROUP(a)) {
      addresses(internet_address_group_get_members((InternetAddressGroup *)a), any);
    } else {
      const char *text = internet_address_mailbox_get_addr((InternetAddressMailbox *)a);
      if (*any) printf(" ");
      put(text, strlen(text));
      *any = true;
    }
  }
}

static void show(const char *file, GMimeMessage *m) {
  GMimeObject *part = g_mime_message_get_mime_part(m);
  const char *subject = g_mime_message_get_subject(m);
  GDateTime *date = g_mime_message_get_date(m);
  bool any = false, more = false, names = false, bodies = false;
  begin(file, "tree");
  if (part) tree(part);
  putchar('\n');
  begin(file, "subject");
  if (subject) put(subject, strlen(subject));
  putchar('\n');
  begin(file, "from");
  addresses(g_mime_message_get_from(m), &any);
  putchar('\n');
  begin(file, "to");
  addresses(g_mime_message_get_to(m), &more);
  putchar('\n');
  begin(file, "date");
  if (date) printf("%ld", (long)g_date_time_to_unix(date));
  putchar('\n');
  begin(file, "names");
  if (part) leaves(part, name, &names);
  putchar('\n');
  begin(file, "bodies");
  if (part) leaves(part, body, &bodies);
  putchar('\n');
}

int main(int argc, char **argv) {
  int i;
  g_mime_init();
  for (i = 1; i < argc; i++) {
    GMimeStream *stream = g_mime_stream_file_open(argv[i], "r", NULL);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeMessage *m = g_mime_parser_construct_message(parser, NULL);
    char *file = g_path_get_basename(argv[i]);
    file[strlen(file) - 4] = '\0';
    if (m)
      show(file, m);
    else
      printf("%s\tnone\t\n", file);
    g_free(file);
  }
  return 0;
}
