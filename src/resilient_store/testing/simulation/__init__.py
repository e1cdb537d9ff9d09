"""Whole stores on simulated disks, in virtual time, replayed by a seed.

`loop` is an event loop whose order a seed decides, `world` the disks and what goes wrong with
them, `workload` what a program does meanwhile, and `oracle` judges the history by the promises.
"""
