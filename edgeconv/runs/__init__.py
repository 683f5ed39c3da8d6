"""Records of experiments as plain folders, and the engines that do their work."""
