/* start_esp32c3.c: see start_esp32.h. Addresses: esptool 5.6, targets/esp32c3.py; ESP-IDF, esp32c3 reg_base.h, timer_group_reg.h. */
#define TIMER_GROUP 0x6001F000u
#define SLOW_WATCHDOG REGISTER(0x60008090u) /* RTC_CNTL_WDTCONFIG0 */
#define SLOW_WATCHDOG_LOCK REGISTER(0x600080A8u)
#define SUPER_WATCHDOG REGISTER(0x600080ACu) /* RTC_CNTL_SWD_CONF */
#define SUPER_WATCHDOG_LOCK REGISTER(0x600080B0u)
#define SUPER_WATCHDOG_KEY 0x8F1D312Au
#define SUPER_WATCHDOG_FEEDS_ITSELF (1u << 31)

#include "start_esp32.h"

typedef int start_esp32c3_is_not_empty;
