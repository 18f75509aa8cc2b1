/*
** gss_test.c: csrc/gss with the library and without it, where there is no ticket: it fails in words,
** and keeps nothing. Logins are in spec/gssapi_spec.lua, with a KDC and real servers.
*/
#include "check.h"

/* What a build without the library has. */
#define lm_gss_library lm_gss_absent
#include "../../csrc/gss/gss.c"
#undef lm_gss_library

const struct lm_gss_calls *lm_gss_library(void);

static void fails(const struct lm_gss_calls *gss, struct lm_gss_wish wish) {
  struct lm_buf out = {NULL, 0, 0, 0};
  struct lm_gss *g = gss->open(&wish);
  CHECK(g != NULL);
  EXPECT(gss->step(g, LM_STR(""), &out) == LM_GSS_FAILED);
  EXPECT(strlen(gss->why(g)) > 12 && strlen(gss->why(g)) < 320);
  EXPECT(!gss->passes(g));
  gss->close(g);
  gss->close(NULL);
  lm_buf_free(&out);
}

int main(void) {
  struct lm_gss_wish wish = {LM_STR("imap"), LM_STR("MX.example.org"),
                             LM_STR("FILE:/nonexistent/tickets")};
  const struct lm_gss_calls *gss = lm_gss_library();
  EXPECT(lm_gss_absent() == NULL);
  if (gss) {
    struct lm_str longest = repeat("a/@\\", 5000);
    fails(gss, wish);
    wish.ccache = LM_STR("NOSUCHTYPE:x");
    fails(gss, wish);
    wish.host = longest;
    fails(gss, wish);
    wish.ccache = longest;
    fails(gss, wish);
    free((char *)(uintptr_t)longest.p);
  }
  return check_end();
}
