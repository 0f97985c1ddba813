"""The whole service against both emulators in one process, under virtual time, by seeds.

`chronicle` is what happened, as the emulators and the players know it; `fair` judges it without knowing the
service; `lives` and `troubles` make things happen; `stage` runs the service in the midst of it; `run` plays
seeds.
"""
