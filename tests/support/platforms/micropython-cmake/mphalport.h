/* Nothing: main.c has what MicroPython calls. */
