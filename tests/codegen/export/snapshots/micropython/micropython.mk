# kws as a module of the firmware: make USER_C_MODULES=... with the folder that this one is in.
KWS_DIR := $(USERMOD_DIR)

SRC_USERMOD_C += $(KWS_DIR)/src/kws_micropython.c
SRC_USERMOD_LIB_C += $(KWS_DIR)/src/kws.c $(KWS_DIR)/src/kws_selftest.c
CFLAGS_USERMOD += -I$(KWS_DIR)/include -DKWS_SELFTEST -DKWS_HOOK

# For speed; the rest of the firmware is optimised for size.
$(BUILD)/$(patsubst $(USER_C_MODULES)/%,%,$(KWS_DIR))/src/kws.o: CFLAGS += -O2
