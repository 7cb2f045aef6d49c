/* service.h - what the service manager is told (sd_notify(3)), without its library. Every call does
 * nothing when nobody listens. */
#ifndef SERVER_SERVICE_H
#define SERVER_SERVICE_H

#include <stdint.h>

/* Tell lines such as "READY=1". */
void service_notify(const char *state);
/* Tell that a reload began: RELOADING=1 with the time, as Type=notify-reload wants it. */
void service_reloading(void);
/* How often to tell WATCHDOG=1, in milliseconds; 0: never. */
uint64_t service_watchdog_ms(void);

#endif
