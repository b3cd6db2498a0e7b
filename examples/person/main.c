/* A person detector fed by a camera, row by row: at no time is there a whole picture in RAM.
 *
 * port.h of the compiled folder is all that it asks of a machine: port_read gives the next row, as the interface of a camera
 * would, three bytes a pixel; port_write takes a line of text. examples/person.py compiles the model with --feed rows.
 */
#include "port.h"
#include "vww.h"

enum { NOBODY, PERSON };

VWW_STATIC_MEMORY(memory);
static vww_t vww;

/* One picture: 1 once its last row was fed. 0: the camera gives no more. */
static int look(void)
{
    for (int row = 0; row < VWW_INPUT_ROWS; row++) {
        uint8_t pixels[VWW_INPUT_ROW_LEN];
        int8_t values[VWW_INPUT_ROW_LEN];

        if (port_read(pixels, sizeof pixels) != 0)
            return 0;
        for (int i = 0; i < VWW_INPUT_ROW_LEN; i++)
            values[i] = (int8_t)(pixels[i] - 128); /* 0..255 stand for 0..1: scale 1 / 255, zero point -128 */
        (void)vww_feed(&vww, values);
    }
    return 1;
}

int main(void)
{
    if (port_open() != 0 || vww_init(&vww, &memory) != 0)
        port_exit(1);
    while (look()) {
        const int8_t *scores = vww_output(&vww);
        const char *line = scores[PERSON] > scores[NOBODY] ? "person\n" : "nobody\n";

        if (port_write(line, sizeof "person\n" - 1) != 0)
            port_exit(1);
    }
    port_exit(0);
}
