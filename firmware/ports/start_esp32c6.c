/* start_esp32c6.c: see start_esp32.h. Addresses: ESP-IDF, esp32c6 reg_base.h, lp_wdt_reg.h, timer_group_reg.h; esptool 5.6,
 * targets/esp32c6.py. */
#define TIMER_GROUP 0x60008000u
#define SLOW_WATCHDOG REGISTER(0x600B1C00u) /* LP_WDT_CONFIG0 */
#define SLOW_WATCHDOG_LOCK REGISTER(0x600B1C18u)
#define SUPER_WATCHDOG REGISTER(0x600B1C1Cu) /* LP_WDT_SWD_CONFIG */
#define SUPER_WATCHDOG_LOCK REGISTER(0x600B1C20u)
#define SUPER_WATCHDOG_KEY WATCHDOG_KEY
#define SUPER_WATCHDOG_FEEDS_ITSELF (1u << 18)

#include "start_esp32.h"

typedef int start_esp32c6_is_not_empty;
