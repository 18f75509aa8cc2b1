/*
** fake_gss.h: a GSS-API of a few words (base/gss.h) for tests of what stands on it.
**
** The first token is "ticket for SERVICE@HOST", and " in CCACHE" where there is one. The peer proves
** itself by "proof", wants to hear "again" by "more", and wraps by a "W" in front; so do we.
** Everything is allocated where it may fail.
*/
#ifndef LM_SPEC_FAKE_GSS_H
#define LM_SPEC_FAKE_GSS_H

#include <stdlib.h>

#include "base/chars.h"
#include "base/gss.h"
#include "base/text.h"

struct lm_gss {
  struct lm_buf name;
  const char *why;
  bool told;
  bool passes;
};

static const char *fake_lacks; /* why there is no ticket; NULL: there is one */
static long fake_open;         /* contexts that are */

static inline struct lm_gss *fake_begin(const struct lm_gss_wish *w) {
  struct lm_gss *g = calloc(1, sizeof *g);
  if (g == NULL) return NULL;
  if (lm_buf_puts(&g->name, LM_STR("ticket for ")) && lm_buf_puts(&g->name, w->service) &&
      lm_buf_putc(&g->name, '@') && lm_buf_puts(&g->name, w->host) &&
      (w->ccache.n == 0 ||
       (lm_buf_puts(&g->name, LM_STR(" in ")) && lm_buf_puts(&g->name, w->ccache)))) {
    fake_open++;
    return g;
  }
  lm_buf_free(&g->name);
  free(g);
  return NULL;
}

static inline bool fake_fail(struct lm_gss *g, const char *why) {
  g->why = why;
  return false;
}

static inline enum lm_gss_answer fake_step(struct lm_gss *g, struct lm_str token,
                                           struct lm_buf *out) {
  if (!g->told) {
    g->told = true;
    g->passes = fake_lacks != NULL;
    if (fake_lacks) return fake_fail(g, fake_lacks), LM_GSS_FAILED;
    if (lm_buf_puts(out, lm_buf_str(&g->name))) return LM_GSS_MORE;
  } else if (lm_str_eq(token, LM_STR("proof"))) {
    return LM_GSS_READY;
  } else if (!lm_str_eq(token, LM_STR("more"))) {
    return fake_fail(g, "a false token"), LM_GSS_FAILED;
  } else if (lm_buf_puts(out, LM_STR("again"))) {
    return LM_GSS_MORE;
  }
  fake_fail(g, "out of memory");
  return LM_GSS_FAILED;
}

static inline bool fake_unwrap(struct lm_gss *g, struct lm_str token, struct lm_buf *out) {
  if (token.n == 0 || token.p[0] != 'W') return fake_fail(g, "not wrapped");
  return lm_buf_put(out, token.p + 1, token.n - 1) || fake_fail(g, "out of memory");
}

static inline bool fake_wrap(struct lm_gss *g, struct lm_str text, struct lm_buf *out) {
  return (lm_buf_putc(out, 'W') && lm_buf_puts(out, text)) || fake_fail(g, "out of memory");
}

static inline const char *fake_why(const struct lm_gss *g) {
  return g->why;
}

static inline bool fake_passes(const struct lm_gss *g) {
  return g->passes;
}

static inline void fake_close(struct lm_gss *g) {
  if (g == NULL) return;
  fake_open--;
  lm_buf_free(&g->name);
  free(g);
}

static const struct lm_gss_calls fake_gss = {
    .open = fake_begin,
    .step = fake_step,
    .unwrap = fake_unwrap,
    .wrap = fake_wrap,
    .why = fake_why,
    .passes = fake_passes,
    .close = fake_close,
};

#endif
