"""Learning on the device: from a Graph and labelled samples to layers that learn, a backward Graph, and a learner."""
