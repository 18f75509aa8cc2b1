/*
** params.c: parameters of Content- fields.
**
** First the text is cut into pieces, one for each "name=value", with quotes and folds undone; then
** the pieces are sorted by name and kind, and those that make one value are joined as octets and
** converted once, since mailers cut values in the middle of a character.
*/
#include "mime/params.h"

#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "mime/charset.h"
#include "mime/word2047.h"

enum kind { EXTENDED, CONTINUED, PLAIN }; /* name*=, name*0= or name*0*=, name=: the first wins */

enum { WHOLE_NAME_MAX = 256, INDEX_MAX = 99999 };

struct piece {
  struct lm_str name; /* lower case, without "*", number and "*" */
  struct lm_str value;
  enum kind kind;
  bool encoded; /* percent signs have a meaning */
  bool quoted;
  unsigned index;
  size_t order; /* in the text */
  struct piece *next;
};

struct reader {
  struct lm_arena *arena;
  const char *p;
  const char *end;
  const char *begin;
  struct lm_params *out;
  struct piece *first;
  struct piece *last;
  size_t pieces;
};

static void defect(struct reader *r, const char *at, const char *why) {
  if (r->out->defects++) return;
  r->out->why = why;
  r->out->offset = (size_t)(at - r->begin);
}

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* --- the text between ----------------------------------------------------------------------------- */

/* comment = "(" *(ctext / quoted-pair / comment) ")": the byte behind it; NULL where it has no end. */
static const char *comment_end(const char *p, const char *end) {
  size_t depth = 0;
  for (; p < end; p++) {
    if (*p == '\\' && p + 1 < end)
      p++;
    else if (*p == '(' && ++depth > LM_COMMENT_DEPTH)
      return NULL;
    else if (*p == ')' && --depth == 0)
      return p + 1;
  }
  return NULL;
}

/* White space and comments. A comment without an end hides what follows. */
static void skip_blank(struct reader *r) {
  while (r->p < r->end) {
    if (is_blank(*r->p)) {
      r->p++;
    } else if (*r->p == '(') {
      const char *stop = comment_end(r->p, r->end);
      if (stop == NULL) defect(r, r->p, "a comment that is not closed");
      r->p = stop ? stop : r->end;
    } else {
      return;
    }
  }
}

static struct lm_str trimmed(const char *from, const char *end) {
  while (from < end && is_blank(*from)) from++;
  while (end > from && is_blank(end[-1])) end--;
  return (struct lm_str){from, (size_t)(end - from)};
}

static const char *find(const char *p, const char *end, char c) {
  const char *found = p < end ? memchr(p, c, (size_t)(end - p)) : NULL;
  return found ? found : end;
}

/* --- names ---------------------------------------------------------------------------------------- */

static bool is_name(char c) {
  return lm_is(c, LM_MIME_TOKEN) || c == '*';
}

/* True where "name=" begins at `p`: then a semicolon was left out before it. Names are short. */
static bool begins_parameter(const char *p, const char *end) {
  const char *from = p;
  while (p < end && p - from <= WHOLE_NAME_MAX && lm_is(*p, LM_ALPHA | LM_DIGIT)) p++;
  if (p == from) return false;
  while (p < end && p - from <= WHOLE_NAME_MAX &&
         (lm_is(*p, LM_ALPHA | LM_DIGIT) || *p == '*' || *p == '-' || *p == '_'))
    p++;
  return p < end && *p == '=';
}

static bool take_index(struct lm_str digits, unsigned *n_out) {
  size_t i;
  unsigned n = 0;
  if (digits.n == 0 || digits.n > 5) return false;
  for (i = 0; i < digits.n; i++) {
    if (!lm_is(digits.p[i], LM_DIGIT)) return false;
    n = n * 10 + (unsigned)(digits.p[i] - '0');
  }
  *n_out = n;
  return n <= INDEX_MAX;
}

/*
** RFC 2231 §7: regular-parameter-name := attribute [section]; extended := attribute [section] "*";
** section := "*" 1*DIGIT
*/
static bool take_name(struct reader *r, struct lm_str whole, struct piece *piece) {
  struct lm_str name = whole;
  const char *star;
  char *copy;
  size_t i;
  piece->kind = PLAIN;
  if (name.n > 1 && name.p[name.n - 1] == '*') {
    piece->encoded = true;
    piece->kind = EXTENDED;
    name.n--;
  }
  star = find(name.p, name.p + name.n, '*');
  if (star > name.p && star < name.p + name.n &&
      take_index((struct lm_str){star + 1, (size_t)(name.p + name.n - star - 1)}, &piece->index)) {
    piece->kind = CONTINUED;
    name.n = (size_t)(star - name.p);
  }
  if ((copy = lm_arena_alloc(r->arena, name.n)) == NULL) return false;
  for (i = 0; i < name.n; i++) copy[i] = lm_lower(name.p[i]);
  piece->name = (struct lm_str){copy, name.n};
  return true;
}

static bool is_file_name(const struct piece *piece) {
  return LM_IS(piece->name, "name") || LM_IS(piece->name, "filename");
}

/* --- values --------------------------------------------------------------------------------------- */

/* A backslash before anything but a quote or another one is meant: a path of Windows. */
static bool escapes(const char *p, const char *end) {
  return *p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\');
}

/* The quote that ends the string at `p`, or the end of the text: what is behind it takes no memory. */
static const char *quote_end(const char *p, const char *end) {
  while (p < end && *p != '"') p += escapes(p, end) ? 2 : 1;
  return p;
}

/* quoted-string; where its end is missing it goes to the end of the text. */
static bool quoted_value(struct reader *r, struct piece *piece) {
  const char *from = r->p++;
  char *out = lm_arena_alloc(r->arena, (size_t)(quote_end(r->p, r->end) - from));
  size_t n = 0;
  if (out == NULL) return false;
  piece->quoted = true;
  for (; r->p < r->end && *r->p != '"'; r->p++) {
    if (escapes(r->p, r->end)) r->p++;
    if (*r->p != '\r' && *r->p != '\n') out[n++] = *r->p;
  }
  if (r->p < r->end)
    r->p++;
  else
    defect(r, from, "a quoted string that is not closed");
  piece->value = (struct lm_str){out, n};
  return true;
}

/* The end of a value without quotes: white space and comments end it, except in the name of a file,
** where only a semicolon does, or the beginning of the next parameter. */
static const char *bare_end(struct reader *r, const struct piece *piece) {
  const char *p = r->p;
  bool file = is_file_name(piece);
  while (p < r->end && *p != ';') {
    if (!file && *p == '(') break;
    if (!is_blank(*p)) {
      p++;
      continue;
    }
    while (p < r->end && is_blank(*p)) p++;
    if (!file || begins_parameter(p, r->end)) break;
  }
  return p;
}

/* Folds in a value without quotes go with their line ends. */
static bool bare_value(struct reader *r, struct piece *piece) {
  const char *stop = bare_end(r, piece);
  struct lm_str text = trimmed(r->p, stop);
  size_t i;
  size_t n = 0;
  char *out;
  r->p = stop;
  piece->value = text;
  if (memchr(text.p, ' ', text.n)) defect(r, text.p, "a value with spaces and without quotes");
  if (!memchr(text.p, '\r', text.n) && !memchr(text.p, '\n', text.n)) return true;
  if ((out = lm_arena_alloc(r->arena, text.n)) == NULL) return false;
  for (i = 0; i < text.n; i++) {
    if (text.p[i] != '\r' && text.p[i] != '\n') out[n++] = text.p[i];
  }
  piece->value = (struct lm_str){out, n};
  return true;
}

/* --- pieces --------------------------------------------------------------------------------------- */

/* What has no "=": a part of the file name before it that held a semicolon, or nothing known. A piece
** keeps its text in one stretch, so the semicolon is where the text says. */
static void stray(struct reader *r, const char *from, const char *end) {
  struct piece *last = r->last;
  struct lm_str text = trimmed(from, end);
  if (text.n == 0) return;
  defect(r, from, "text that is no parameter");
  if (last == NULL || last->quoted || !is_file_name(last) || last->value.n == 0) return;
  if (last->value.p < r->begin || last->value.p >= r->end) return;
  last->value.n = (size_t)(text.p + text.n - last->value.p);
}

static void append(struct reader *r, struct piece *piece) {
  piece->order = r->pieces++;
  if (r->last)
    r->last->next = piece;
  else
    r->first = piece;
  r->last = piece;
}

/* parameter := attribute "=" value, at a place where no white space stands. */
static bool parameter(struct reader *r) {
  const char *from = r->p;
  const char *name_end;
  struct piece *piece;
  while (r->p < r->end && is_name(*r->p)) r->p++;
  name_end = r->p;
  skip_blank(r);
  if (name_end == from || r->p == r->end || *r->p != '=') {
    r->p = find(r->p, r->end, ';');
    stray(r, from, r->p);
    return true;
  }
  r->p++;
  if ((piece = lm_arena_zero(r->arena, sizeof *piece)) == NULL) return false;
  if (!take_name(r, (struct lm_str){from, (size_t)(name_end - from)}, piece)) return false;
  skip_blank(r);
  piece->value = (struct lm_str){r->p, 0};
  if (r->p < r->end && *r->p == '"' ? !quoted_value(r, piece) : !bare_value(r, piece)) return false;
  append(r, piece);
  return true;
}

static bool all_parameters(struct reader *r, size_t max) {
  for (;;) {
    skip_blank(r);
    if (r->p < r->end && *r->p == ';') {
      r->p++;
      continue;
    }
    if (r->p == r->end) return true;
    if (r->pieces >= max) {
      defect(r, r->p, "limit passed: parameters");
      return true;
    }
    if (!parameter(r)) return false;
    skip_blank(r);
    if (r->p < r->end && *r->p != ';') defect(r, r->p, "a semicolon is missing");
  }
}

/* --- joining -------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b) {
  const struct piece *x = *(const struct piece *const *)a;
  const struct piece *y = *(const struct piece *const *)b;
  size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
  int by_name = memcmp(x->name.p, y->name.p, n);
  if (by_name) return by_name;
  if (x->name.n != y->name.n) return x->name.n < y->name.n ? -1 : 1;
  if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
  if (x->index != y->index) return x->index < y->index ? -1 : 1;
  return x->order < y->order ? -1 : 1;
}

static int hex_digit(char c) {
  if (lm_is(c, LM_DIGIT)) return c - '0';
  c = lm_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ext-octet := "%" 2(DIGIT / "A" / ... / "F"); a percent sign before anything else is itself. */
static size_t percent_decode(struct lm_str s, char *out) {
  size_t i;
  size_t n = 0;
  for (i = 0; i < s.n; i++) {
    int hi = s.p[i] == '%' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
    int lo = hi >= 0 ? hex_digit(s.p[i + 2]) : -1;
    if (lo >= 0) {
      out[n++] = (char)(hi << 4 | lo);
      i += 2;
    } else {
      out[n++] = s.p[i];
    }
  }
  return n;
}

/* extended-initial-value := [charset] "'" [language] "'" extended-other-values. Without both
** apostrophes there is no charset. */
static struct lm_str take_charset(struct lm_str *value) {
  const char *end = value->p + value->n;
  const char *first = find(value->p, end, '\'');
  const char *second = first < end ? find(first + 1, end, '\'') : end;
  struct lm_str charset = {value->p, (size_t)(first - value->p)};
  if (second == end) return LM_NOSTR;
  *value = (struct lm_str){second + 1, (size_t)(end - second - 1)};
  return charset;
}

/* A line end or NUL would end a line elsewhere: it becomes a space. */
static bool on_one_line(struct reader *r, struct lm_str *s) {
  size_t i;
  char *copy;
  if (!lm_str_breaks_line(*s)) return true;
  defect(r, r->begin, "a line end or NUL in a parameter");
  *s = lm_arena_copy(r->arena, *s);
  if ((copy = (char *)(uintptr_t)s->p) == NULL) return false;
  for (i = 0; i < s->n; i++) {
    if (copy[i] == '\r' || copy[i] == '\n' || copy[i] == '\0') copy[i] = ' ';
  }
  return true;
}

/* The pieces of one value, `n` of them in order: joined, then converted. */
static bool join(struct reader *r, struct piece **pieces, size_t n, struct lm_str *out) {
  struct lm_str charset = LM_NOSTR;
  size_t room = 0;
  size_t i;
  char *copy;
  if (pieces[0]->encoded) charset = take_charset(&pieces[0]->value);
  for (i = 0; i < n; i++) room += pieces[i]->value.n;
  if ((copy = lm_arena_alloc(r->arena, room ? room : 1)) == NULL) return false;
  for (i = 0, room = 0; i < n; i++) {
    struct lm_str value = pieces[i]->value;
    if (pieces[i]->encoded)
      room += percent_decode(value, copy + room);
    else if (value.n)
      memcpy(copy + room, value.p, value.n), room += value.n;
    if (pieces[i]->index != (unsigned)i) defect(r, r->begin, "pieces of a parameter are missing");
  }
  *out = (struct lm_str){copy, room};
  if (charset.n) return lm_charset_to_utf8(r->arena, charset, *out, out);
  return lm_word2047_decode(r->arena, *out, out);
}

/* The same index twice: the first counts. */
static size_t without_repeats(struct piece **pieces, size_t n) {
  size_t i;
  size_t kept = 0;
  for (i = 0; i < n; i++) {
    if (kept && pieces[kept - 1]->index == pieces[i]->index) continue;
    pieces[kept++] = pieces[i];
  }
  return kept;
}

/* One value for a name: the pieces of the best kind; `n` pieces, sorted. */
static bool settle(struct reader *r, struct piece **pieces, size_t n, struct lm_param *param) {
  size_t same = 1;
  size_t kept;
  while (same < n && pieces[same]->kind == pieces[0]->kind) same++;
  kept = without_repeats(pieces, same);
  if (kept < same) defect(r, r->begin, "a parameter is repeated");
  param->name = pieces[0]->name;
  if (pieces[0]->kind == PLAIN) {
    if (!lm_word2047_decode(r->arena, pieces[0]->value, &param->value)) return false;
  } else if (!join(r, pieces, pieces[0]->kind == CONTINUED ? kept : 1, &param->value)) {
    return false;
  }
  return on_one_line(r, &param->value);
}

static bool settle_all(struct reader *r) {
  struct piece **sorted = lm_arena_alloc(r->arena, (r->pieces + 1) * sizeof *sorted);
  struct lm_param **tail = &r->out->first;
  struct piece *piece;
  size_t n = 0;
  size_t from;
  size_t to;
  if (sorted == NULL) return false;
  for (piece = r->first; piece; piece = piece->next) sorted[n++] = piece;
  if (n > 1) qsort(sorted, n, sizeof *sorted, compare);
  for (from = 0; from < n; from = to) {
    struct lm_param *param = lm_arena_zero(r->arena, sizeof *param);
    if (param == NULL) return false;
    for (to = from + 1; to < n && lm_str_eq(sorted[to]->name, sorted[from]->name);) to++;
    if (!settle(r, sorted + from, to - from, param)) return false;
    *tail = param;
    tail = &param->next;
    r->out->count++;
  }
  return true;
}

/* --- the whole value -------------------------------------------------------------------------------- */

/* The end of the main value: a semicolon, or the first parameter where that is missing. */
static const char *main_end(const char *p, const char *end) {
  while (p < end && *p != ';') {
    if (!is_blank(*p)) {
      p++;
      continue;
    }
    while (p < end && is_blank(*p)) p++;
    if (begins_parameter(p, end)) break;
  }
  return p;
}

bool lm_params_read(struct lm_arena *a, struct lm_str raw, size_t max, struct lm_params *out) {
  const char *begin = raw.n ? raw.p : "";
  struct reader r = {a, begin, begin + raw.n, begin, out, NULL, NULL, 0};
  *out = (struct lm_params){LM_NOSTR, NULL, 0, 0, NULL, 0};
  skip_blank(&r);
  if (!begins_parameter(r.p, r.end)) {
    const char *from = r.p;
    r.p = main_end(from, r.end);
    out->main = trimmed(from, r.p);
    if (r.p < r.end && *r.p != ';') defect(&r, r.p, "a semicolon is missing");
  } else {
    defect(&r, r.p, "no value before the parameters");
  }
  return all_parameters(&r, max) && settle_all(&r);
}

bool lm_params_join(struct lm_arena *a, const struct lm_str *words, size_t n,
                    struct lm_params *out) {
  struct reader r = {a, "", "", "", out, NULL, NULL, 0};
  size_t i;
  *out = (struct lm_params){LM_NOSTR, NULL, 0, 0, NULL, 0};
  for (i = 0; i + 1 < n; i += 2) {
    struct piece *piece = lm_arena_zero(a, sizeof *piece);
    if (piece == NULL || !take_name(&r, words[i], piece)) return false;
    piece->value = words[i + 1];
    append(&r, piece);
  }
  return settle_all(&r);
}

struct lm_str lm_params_get(const struct lm_params *params, struct lm_str name) {
  const struct lm_param *param;
  for (param = params->first; param; param = param->next) {
    if (lm_str_eq(param->name, name)) return param->value;
  }
  return LM_NOSTR;
}

/* --- media types ------------------------------------------------------------------------------------ */

static struct lm_str token(struct reader *r) {
  const char *from = r->p;
  while (r->p < r->end && lm_is(*r->p, LM_MIME_TOKEN)) r->p++;
  return (struct lm_str){from, (size_t)(r->p - from)};
}

/* What a type without a subtype most likely is: the one that hides nothing. */
static struct lm_str usual_subtype(struct lm_str type) {
  if (LM_IS(type, "text")) return LM_STR("plain");
  if (LM_IS(type, "multipart")) return LM_STR("mixed");
  if (LM_IS(type, "message")) return LM_STR("rfc822");
  return LM_STR("octet-stream");
}

static bool is_top_level(struct lm_str type) {
  static const char *const types[] = {"text",  "multipart", "message", "application",
                                      "image", "audio",     "video",   "model"};
  size_t i;
  for (i = 0; i < sizeof types / sizeof *types; i++) {
    if (lm_str_ieq(type, (struct lm_str){types[i], strlen(types[i])})) return true;
  }
  return false;
}

/* content := type "/" subtype *(";" parameter) */
bool lm_media_read(struct lm_str raw, struct lm_media *out) {
  const char *begin = raw.n ? raw.p : "";
  struct lm_params ignored = {LM_NOSTR, NULL, 0, 0, NULL, 0};
  struct reader r = {NULL, begin, begin + raw.n, begin, &ignored, NULL, NULL, 0};
  skip_blank(&r);
  out->type = token(&r);
  skip_blank(&r);
  if (out->type.n && r.p < r.end && *r.p == '/') {
    r.p++;
    skip_blank(&r);
    out->subtype = token(&r);
    if (out->subtype.n) return true;
  }
  if (out->type.n && is_top_level(out->type)) {
    out->subtype = usual_subtype(out->type);
    if (LM_IS(out->subtype, "octet-stream")) out->type = LM_STR("application");
    return false;
  }
  *out = (struct lm_media){LM_STR("text"), LM_STR("plain")};
  return false;
}

bool lm_media_is(const struct lm_media *m, const char *type, const char *subtype) {
  if (!lm_str_ieq(m->type, (struct lm_str){type, strlen(type)})) return false;
  return subtype == NULL || lm_str_ieq(m->subtype, (struct lm_str){subtype, strlen(subtype)});
}
