/*
** mime_rtf_test.c: rich text of Outlook: the examples of MS-OXRTFCP §3, and what makes no sense.
*/
#include "mime/rtf.h"

#include "check.h"

#define HEAD(packed, plain) packed "\0\0\0" plain "\0\0\0LZFu\0\0\0\0"

#define ROW(text)                                                                                  \
  { "" text, sizeof(text) - 1 }

static const struct {
  struct lm_str packed;
  const char *plain; /* NULL: none */
} texts[] = {
    {ROW(HEAD("\x2d",
              "\x2b") "\x03\x00\x0a\x00\x72\x63\x70\x67\x31\x32\x35\x42\x32\x0a\xf3\x20"
                      "\x68\x65\x6c\x09\x00\x20\x62\x77\x05\xb0\x6c\x64\x7d\x0a\x80\x0f\xa0"),
     "{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"},
    {ROW(HEAD("\x1a", "\x1c") "\x41\x00\x04\x20\x57\x58\x59\x5a\x0d\x6e\x7d\x01\x0e\xb0"),
     "{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"},
    {ROW("\x08\0\0\0\x04\0\0\0MELA\0\0\0\0text and more"), "text"},
    {ROW("\x08\0\0\0\xff\xff\xff\xffMELA\0\0\0\0text"), "text"},
    {ROW("\xff\xff\xff\xff\xff\xff\xff\xffLZFu\0\0\0\0"), ""},
    {ROW("\xff\xff\xff\xff\xff\xff\xff\xffLZFu\0\0\0\0\x01\x00"), ""}, /* cut in a stretch */
    {ROW("\x08\0\0\0\x02\0\0\0LZFu\0\0\0\0\0abcdefgh"), "ab"},         /* no more than it says */
    {ROW("\x08\0\0\0\x08\0\0\0what\0\0\0\0abcdefgh"), NULL},
    {ROW("\x08\0\0\0\x08\0\0\0LZFu"), NULL},
    {ROW(""), NULL},
};

int main(void) {
  size_t i, n;
  for (i = 0; i < sizeof texts / sizeof *texts; i++) {
    struct lm_arena a = {NULL, 0};
    struct lm_str out;
    CHECK(lm_rtf_unpack(&a, texts[i].packed, &out));
    EXPECT((out.p != NULL) == (texts[i].plain != NULL));
    if (texts[i].plain) EXPECT_TEXT(out, str(texts[i].plain), texts[i].plain);
    for (n = 0; n < texts[i].packed.n; n++) {
      char *cut = malloc(n + 1);
      CHECK(cut != NULL);
      memcpy(cut, texts[i].packed.p, n);
      EXPECT(lm_rtf_unpack(&a, (struct lm_str){cut, n}, &out) && out.n <= 8 * n);
      free(cut);
    }
    lm_arena_free(&a);
  }
  return check_end();
}
