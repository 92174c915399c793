/* The width must be defined before the header is read; Swift cannot define it. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
