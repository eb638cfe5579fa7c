/* The inline store of cards.h, with a test of the card before it. */
#define GCB_CARDS_CONDITIONAL 1
#include "cards.h"
