/*
** word2047.h: encoded words in header text, read and written (RFC 2047; languages: RFC 2231 §5).
**
** Reading takes what mailers send: words that touch other text, spaces inside, characters split
** over words, wrong charsets, raw 8-bit text between. What is no whole word stays as it stands.
** Never for use on an address itself: only on unstructured values, phrases and comments.
*/
#ifndef LM_MIME_WORD2047_H
#define LM_MIME_WORD2047_H

#include "base/arena.h"

/* An unstructured value, a phrase or a comment as UTF-8 on one line: folds are undone, words are
** decoded, white space between two words is dropped. Returns `raw` itself, or what is left of it,
** where no octet changes, else the text lies in the arena. A line end or NUL inside a word becomes a
** space. Linear time. False only when memory is short. */
bool lm_word2047_decode(struct lm_arena *a, struct lm_str raw, struct lm_str *utf8_out);

/* What is wrong with the encoded words of a raw value, in static words, and where: words that are not whole,
** of a charset that nobody knows, or that hide a line end or NUL. `quotes`: a quoted string has a meaning in
** the value, and a word in it is wrong, too (RFC 2047 §5 (3)). NULL where all is well, or memory is short. */
const char *lm_word2047_trouble(struct lm_str raw, bool quotes, size_t *offset_out);

/* The length of the encoded word that `s` begins with, or 0. Spaces do not belong to it here, so a
** tokenizer may call this. */
size_t lm_word2047_span(struct lm_str s);

/* An octet as a Q word has it, safe wherever the word stands (RFC 2047 §4.2, §5 (3)): into `code`; returns how
** many octets that are, 1 or 3. */
size_t lm_word2047_q(char octet, char code[3]);

/* `utf8` as encoded words with a space between: each of at most 75 characters, none splits a
** character, B or Q as is shorter. False only when memory is short. */
bool lm_word2047_encode(struct lm_arena *a, struct lm_str utf8, struct lm_str *out);

#endif
