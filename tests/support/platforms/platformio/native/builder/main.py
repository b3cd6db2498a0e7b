"""What `pio run` does for [env:native]: compile the project and its libraries, link the program."""

from SCons.Script import AlwaysBuild, Default, DefaultEnvironment  # type: ignore[import-not-found]

env = DefaultEnvironment()
env.Replace(PROGNAME="program", PROGSUFFIX="")
Default(AlwaysBuild(env.Alias("build", env.BuildProgram())))
