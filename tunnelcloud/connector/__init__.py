"""The process in a site: dials out to pods, opens TCP to targets."""
