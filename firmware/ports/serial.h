/* serial.h: the samples and results of main.c over a serial line (uart.h). In place of semihosting.h where PORT_SERIAL is
 * defined; simulator/serial_link.py is the other end.
 *
 * A packet:  0x7E  kind  number  length, 2 bytes  check  payload  CRC-32, 4 bytes
 *
 * Little-endian; `check` makes the exclusive or of the header's six bytes 0; the CRC (of zlib) is of header and payload.
 * What fits neither is skipped byte by byte up to the next 0x7E, so that a damaged packet costs no other.
 *
 *   host    HELLO  payload: 1 to show every layer or 0 to measure, and 4 bytes of the host's choice. Answered with
 *                  IDENTITY; begins a session, and where another is under way the program starts anew
 *           PUT    bytes that main.c reads. Numbers count up from 0, modulo 256, as do those of DATA
 *           GET    what came before this number has arrived: send it
 *   device  IDENTITY  version, 1 after HELLO or 0 after a reset, what can be asked for (1 showing, 2 measuring; 4: in
 *                     cycles, not in instructions), 0, the 4 bytes of the HELLO, 8 bytes that tell the model's C from
 *                     any other, the model's name
 *           TAKEN     main.c has read all bytes of the PUT of this number; sent again for a PUT that comes again
 *           DATA      bytes that main.c writes; sent again at each GET of its number. GET of the next one, or the next
 *                     PUT, says that it has arrived
 *           ENDED     int32: the status main.c ended with. Answers everything but HELLO from then on
 *           STRANGER  there was no HELLO since the reset
 */
#ifndef SERIAL_H
#define SERIAL_H

#ifdef PORT_TEXT /* mlperf.c speaks another language on the line, and never ends: a fault starts it anew */

#include "port.h"

static _Noreturn void serial_restart(void);

_Noreturn void port_exit(int status)
{
    (void)status;
    serial_restart();
}

#else

#include "model.h"
#include "port.h"
#include "uart.h"

#include <string.h>

#define SERIAL_VERSION 2
#define SERIAL_START 0x7Eu

enum { SERIAL_HEADER = 6, SERIAL_PAYLOAD = 512, SERIAL_CRC = 4, SERIAL_NONCE = 4 };

enum { SERIAL_HELLO = 0x01, SERIAL_PUT = 0x02, SERIAL_GET = 0x03 };

enum {
    SERIAL_IDENTITY = 0x81,
    SERIAL_TAKEN = 0x82,
    SERIAL_DATA = 0x83,
    SERIAL_ENDED = 0x84,
    SERIAL_STRANGER = 0x85
};

#ifdef MODEL_HOOK
#define SERIAL_SHOWS 1
#else
#define SERIAL_SHOWS 0
#endif
#ifdef PORT_MEASURES
#define SERIAL_MEASURES 2
#else
#define SERIAL_MEASURES 0
#endif
#if !defined(__riscv) || defined(PORT_COUNTER)
#define SERIAL_CYCLES 4
#else
#define SERIAL_CYCLES 0
#endif

/* Starts the program anew, with its memory as after a reset. */
static _Noreturn void serial_restart(void);

static struct {
    uint8_t packet[SERIAL_HEADER + SERIAL_PAYLOAD + SERIAL_CRC]; /* the one that came, or its beginning */
    size_t held;     /* bytes in it */
    size_t whole;    /* of a packet at its start that was accepted; else 0 */
    size_t given;    /* of the payload of a PUT, already read; at its end `waiting` ends */
    int waiting;     /* a PUT was accepted and is not read to its end */
    int repeated;    /* the packet is to be looked at once more */
    uint8_t session; /* there was a HELLO */
    uint8_t traces;  /* it asked for every layer */
    uint8_t nonce[SERIAL_NONCE];
    uint8_t next_put; /* number */
    uint8_t next_data;
} serial;

static uint32_t serial_crc(uint32_t crc, const uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1u)));
    }
    return crc;
}

static void serial_put(const uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        uart_put(data[i]);
}

static void serial_send(int kind, uint8_t number, const void *payload, size_t bytes)
{
    uint8_t header[SERIAL_HEADER] = {SERIAL_START, (uint8_t)kind, number, (uint8_t)bytes, (uint8_t)(bytes >> 8), 0};
    uint8_t tail[SERIAL_CRC];
    uint32_t crc;

    for (int i = 0; i < SERIAL_HEADER - 1; i++)
        header[SERIAL_HEADER - 1] ^= header[i];
    crc = serial_crc(~0u, header, sizeof header);
    crc = ~serial_crc(crc, payload, bytes);
    for (size_t i = 0; i < sizeof tail; i++)
        tail[i] = (uint8_t)(crc >> 8 * i);
    serial_put(header, sizeof header);
    serial_put(payload, bytes);
    serial_put(tail, sizeof tail);
}

static void serial_drop(size_t bytes)
{
    serial.held -= bytes;
    memmove(serial.packet, serial.packet + bytes, serial.held);
}

static size_t serial_length(void)
{
    return serial.packet[3] | (size_t)serial.packet[4] << 8;
}

static int serial_header_fits(void)
{
    uint8_t check = 0;

    for (int i = 0; i < SERIAL_HEADER; i++)
        check ^= serial.packet[i];
    return check == 0 && serial_length() <= SERIAL_PAYLOAD;
}

static int serial_crc_fits(size_t bytes)
{
    const uint8_t *tail = serial.packet + bytes - SERIAL_CRC;
    uint32_t crc = ~serial_crc(~0u, serial.packet, bytes - SERIAL_CRC);

    for (int i = 0; i < SERIAL_CRC; i++) {
        if (tail[i] != (uint8_t)(crc >> 8 * i))
            return 0;
    }
    return 1;
}

/* Waits for a packet, which then is serial.packet, and returns its kind. */
static int serial_receive(void)
{
    if (serial.repeated) {
        serial.repeated = 0;
        return serial.packet[1];
    }
    serial_drop(serial.whole);
    serial.whole = 0;
    for (;;) {
        int byte;

        while (serial.held > 0 && serial.packet[0] != SERIAL_START)
            serial_drop(1);
        if (serial.held >= SERIAL_HEADER) {
            size_t bytes = SERIAL_HEADER + serial_length() + SERIAL_CRC;

            if (!serial_header_fits() || (serial.held >= bytes && !serial_crc_fits(bytes))) {
                serial_drop(1);
                continue;
            }
            if (serial.held >= bytes) {
                serial.whole = bytes;
                return serial.packet[1];
            }
        }
        do
            byte = uart_get();
        while (byte < 0);
        serial.packet[serial.held++] = (uint8_t)byte;
    }
}

static void serial_identify(void)
{
    static const uint8_t id[] = {MODEL_ID};
    uint8_t identity[4 + SERIAL_NONCE + sizeof id + sizeof MODEL_NAME - 1] = {
        SERIAL_VERSION, serial.session, SERIAL_SHOWS | SERIAL_MEASURES | SERIAL_CYCLES, 0};
    uint8_t *at = identity + 4;

    memcpy(at, serial.nonce, SERIAL_NONCE);
    memcpy(at + SERIAL_NONCE, id, sizeof id);
    memcpy(at + SERIAL_NONCE + sizeof id, MODEL_NAME, sizeof MODEL_NAME - 1);
    serial_send(SERIAL_IDENTITY, 0, identity, sizeof identity);
}

/* What is answered alike at any time. Returns 0 where the packet is for whoever waits for it. */
static int serial_answered(int kind)
{
    if (kind == SERIAL_HELLO && serial_length() == 1 + SERIAL_NONCE) {
        const uint8_t *hello = serial.packet + SERIAL_HEADER;

        if (serial.session && memcmp(serial.nonce, hello + 1, SERIAL_NONCE) != 0)
            serial_restart();
        serial.session = 1; /* a HELLO that comes again is only answered again */
        serial.traces = hello[0];
        memcpy(serial.nonce, hello + 1, SERIAL_NONCE);
        serial_identify();
        return 1;
    }
    if (!serial.session) {
        serial_send(SERIAL_STRANGER, 0, NULL, 0);
        return 1;
    }
    if (kind == SERIAL_PUT && serial.packet[2] == (uint8_t)(serial.next_put - 1)) {
        serial_send(SERIAL_TAKEN, serial.packet[2], NULL, 0);
        return 1;
    }
    return 0;
}

int port_open(void)
{
    uart_open();
    serial_identify();
    return 0;
}

int port_traces(void)
{
    return serial.traces;
}

static void serial_await_put(void)
{
    for (;;) {
        int kind = serial_receive();

        if (!serial_answered(kind) && kind == SERIAL_PUT && serial.packet[2] == serial.next_put && serial_length() > 0)
            break;
    }
    serial.given = 0;
    serial.waiting = 1;
}

int port_read(void *data, size_t bytes)
{
    uint8_t *to = data;

    while (bytes > 0) {
        size_t left, part;

        if (!serial.waiting)
            serial_await_put();
        left = serial_length() - serial.given;
        part = bytes < left ? bytes : left;
        memcpy(to, serial.packet + SERIAL_HEADER + serial.given, part);
        to += part;
        bytes -= part;
        serial.given += part;
        if (part == left) {
            serial.waiting = 0;
            serial_send(SERIAL_TAKEN, serial.next_put++, NULL, 0);
        }
    }
    return 0;
}

/* Until the host has it. A PUT is its next sample: it has all that it wanted. */
static void serial_deliver(const uint8_t *data, size_t bytes)
{
    for (int sent = 0;;) {
        int kind;

        if (!sent)
            serial_send(SERIAL_DATA, serial.next_data, data, bytes);
        sent = 1;
        kind = serial_receive();
        if (serial_answered(kind))
            continue;
        if (kind == SERIAL_GET && serial.packet[2] == (uint8_t)(serial.next_data + 1))
            break;
        if (kind == SERIAL_GET && serial.packet[2] == serial.next_data)
            sent = 0;
        if (kind == SERIAL_PUT && serial.packet[2] == serial.next_put) {
            serial.repeated = 1;
            break;
        }
    }
    serial.next_data++;
}

int port_write(const void *data, size_t bytes)
{
    const uint8_t *from = data;

    for (size_t part; bytes > 0; from += part, bytes -= part) {
        part = bytes < SERIAL_PAYLOAD ? bytes : SERIAL_PAYLOAD;
        serial_deliver(from, part);
    }
    return 0;
}

_Noreturn void port_exit(int status)
{
    const uint8_t code[4] = {(uint8_t)status, (uint8_t)((uint32_t)status >> 8), (uint8_t)((uint32_t)status >> 16),
                             (uint8_t)((uint32_t)status >> 24)};

    for (;;) {
        serial_send(SERIAL_ENDED, 0, code, sizeof code);
        if (serial_receive() == SERIAL_HELLO)
            (void)serial_answered(SERIAL_HELLO);
    }
}

#endif

#endif
