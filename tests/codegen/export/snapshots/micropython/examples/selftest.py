"""Runs the self-test of kws and prints OK, or the first layer that differs; then one inference."""

import kws

net = kws.Network()
layer = net.selftest()
print("kws: OK" if layer is None else "kws: layer %d differs" % layer)

for i in range(len(net.input)):
    net.input[i] = kws.INPUT_ZERO
net.invoke()
print("output:", list(net.output[:12]))
