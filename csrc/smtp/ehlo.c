/*
** ehlo.c: what a server says that it can do.
*/
#include "smtp/ehlo.h"

#include "base/cursor.h"
#include "base/text.h"

static const struct {
  struct lm_str keyword;
  unsigned bit;
} known[] = {
    {{"PIPELINING", 10}, LM_SMTP_PIPELINING},
    {{"8BITMIME", 8}, LM_SMTP_8BITMIME},
    {{"SMTPUTF8", 8}, LM_SMTP_SMTPUTF8},
    {{"SIZE", 4}, LM_SMTP_SIZE},
    {{"STARTTLS", 8}, LM_SMTP_STARTTLS},
    {{"AUTH", 4}, LM_SMTP_AUTH},
    {{"DSN", 3}, LM_SMTP_DSN},
    {{"REQUIRETLS", 10}, LM_SMTP_REQUIRETLS},
    {{"DELIVERBY", 9}, LM_SMTP_DELIVERBY},
    {{"CHUNKING", 8}, LM_SMTP_CHUNKING},
    {{"BINARYMIME", 10}, LM_SMTP_BINARYMIME},
    {{"BURL", 4}, LM_SMTP_BURL},
};

bool lm_smtp_ehlo_next(struct lm_str *text, struct lm_str *keyword_out, struct lm_str *params_out) {
  while (text->n) {
    struct lm_cursor all = lm_cursor(*text);
    struct lm_cursor line = lm_cursor(lm_until(&all, '\n'));
    lm_accept(&all, '\n');
    *text = lm_rest(&all);
    lm_span(&line, LM_SPACE);
    *keyword_out = (struct lm_str){line.p, 0};
    while (!lm_at_end(&line) && *line.p != '=' && !lm_is(*line.p, LM_SPACE)) line.p++;
    keyword_out->n = (size_t)(line.p - keyword_out->p);
    lm_accept(&line, '=');
    lm_span(&line, LM_SPACE);
    *params_out = lm_rest(&line);
    if (keyword_out->n) return true;
  }
  return false;
}

static void learn(struct lm_smtp_ehlo *e, struct lm_str keyword, struct lm_str params) {
  size_t i;
  for (i = 0; i < sizeof known / sizeof *known; i++) {
    if (!lm_str_ieq(keyword, known[i].keyword)) continue;
    e->has |= known[i].bit;
    if (known[i].bit == LM_SMTP_SIZE && !lm_to_u64(params, &e->max_size)) e->max_size = 0;
  }
}

bool lm_smtp_ehlo_read(struct lm_smtp_ehlo *e, struct lm_str text) {
  struct lm_cursor c = lm_cursor(text);
  struct lm_str keyword, params, rest;
  lm_smtp_ehlo_clear(e);
  lm_until(&c, '\n');
  lm_accept(&c, '\n');
  rest = lm_rest(&c);
  if (!lm_buf_puts(&e->text, rest)) return false;
  while (lm_smtp_ehlo_next(&rest, &keyword, &params)) learn(e, keyword, params);
  e->has &= ~e->without;
  return true;
}

void lm_smtp_ehlo_clear(struct lm_smtp_ehlo *e) {
  lm_buf_clear(&e->text);
  e->has = 0;
  e->max_size = 0;
}

void lm_smtp_ehlo_free(struct lm_smtp_ehlo *e) {
  lm_buf_free(&e->text);
}
