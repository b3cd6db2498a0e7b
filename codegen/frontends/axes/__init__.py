"""Values whose axes a framework numbers otherwise, and the parts of ChannelsFirst, by family."""
