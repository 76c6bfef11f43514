"""The whole loop on bundled data: from an empty directory to what comes after."""
