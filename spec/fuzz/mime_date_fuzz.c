/*
** mime_date_fuzz.c: any text as a date; what is a date is the same after writing and reading.
*/
#include <stdlib.h>
#include <string.h>

#include "mime/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok) {
  if (!ok) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  struct lm_str text = {(const char *)data, n};
  char buf[LM_DATE_ROOM];
  int64_t epoch;
  int64_t back;
  int zone;
  size_t len;
  if (lm_date_parse(text, &epoch, &zone) && (len = lm_date_format(buf, epoch, zone)) > 0) {
    must(lm_date_parse((struct lm_str){buf, len}, &back, NULL) && back == epoch);
  }
  if (lm_date_parse_imap(text, &epoch) && (len = lm_date_format_imap(buf, epoch)) > 0) {
    must(lm_date_parse_imap((struct lm_str){buf, len}, &back));
    must(back == epoch || back == LM_DATE_NONE); /* a zone may lead back into the year 0 */
  }
  return 0;
}
