/*
** mime_params_fuzz.c: any text as a value with parameters, as a media type and as message ids.
**
** What holds for all input: names are in lower case and stand once, values are UTF-8 on one line, and
** are read again from what is written of them; an id has its brackets and no white space.
*/
#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "mime/charset.h"
#include "mime/fold.h"
#include "mime/msgid.h"
#include "mime/params.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok) {
  if (!ok) abort();
}

static bool is_token(struct lm_str s) {
  size_t i;
  for (i = 0; i < s.n; i++) {
    if (!lm_is(s.p[i], LM_MIME_TOKEN) || s.p[i] == '*') return false;
  }
  return s.n > 0 && s.n <= 40;
}

static void write_again(struct lm_arena *a, const struct lm_param *param) {
  struct lm_buf out = {NULL, 0, 0, 0};
  struct lm_fold f;
  struct lm_params again;
  struct lm_str text;
  if (!is_token(param->name)) return;
  must(lm_fold_refusal(param->name, param->value) == NULL);
  must(lm_fold_begin(&f, &out, LM_STR("X"), false) && lm_fold_tokens(&f, LM_STR("a")) &&
       lm_fold_param(&f, param->name, param->value) && lm_fold_end(&f));
  text = lm_buf_str(&out);
  must(lm_params_read(a, (struct lm_str){text.p + 2, text.n - 4}, 1000, &again));
  must(again.count == 1 && again.defects == 0 && lm_str_eq(again.main, LM_STR("a")));
  must(lm_str_eq(lm_params_get(&again, param->name), param->value));
  lm_buf_free(&out);
}

static void check_params(struct lm_str text, size_t max) {
  struct lm_arena a = {NULL, 0};
  struct lm_params params;
  const struct lm_param *param;
  size_t count = 0;
  must(lm_params_read(&a, text, max, &params));
  must((params.why != NULL) == (params.defects > 0) && params.offset <= text.n);
  for (param = params.first; param; param = param->next) {
    size_t i;
    for (i = 0; i < param->name.n; i++) must(lm_lower(param->name.p[i]) == param->name.p[i]);
    must(lm_utf8_valid(param->value) && !lm_str_breaks_line(param->value));
    must(lm_params_get(&params, param->name).p == param->value.p);
    if (count++ < 20) write_again(&a, param);
  }
  must(count == params.count && count <= max);
  lm_arena_free(&a);
}

static void check_ids(struct lm_str text) {
  struct lm_lex x = lm_lex(text);
  char *room = malloc(text.n + 1);
  size_t n, i;
  must(room != NULL);
  while ((n = lm_msgid_next(&x, room)) != 0) {
    must(n <= text.n && room[0] == '<' && room[n - 1] == '>');
    for (i = 0; i < n; i++) must(!lm_is(room[i], LM_SPACE) && room[i] != '\n' && room[i] != '\r');
  }
  must(lm_msgid_only(text, room) <= text.n);
  free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  struct lm_str text = {(const char *)data, n};
  struct lm_media media;
  check_params(text, 1000);
  check_params(text, 2);
  if (!lm_media_read(text, &media)) must(media.type.n && media.subtype.n);
  check_ids(text);
  return 0;
}
