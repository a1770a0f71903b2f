/* A program with signal handlers of its own that runs Python, as Julia, R or a simulator does: around INTERPRETER CODE */
#include <Python.h>
#include <signal.h>

static void mine(int number) { (void)number; }

static int kept(int number) {
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == mine;
}

int main(int count, char **words) {
    PyConfig config;
    PyStatus status;
    int failed;
    if (count != 3) return 2;
    signal(SIGINT, mine);
    signal(SIGTERM, mine);
    PyConfig_InitPythonConfig(&config);
    config.install_signal_handlers = 0;
    PyConfig_SetBytesString(&config, &config.program_name, words[1]);
    status = Py_InitializeFromConfig(&config);
    if (PyStatus_Exception(status)) Py_ExitStatusException(status);
    failed = PyRun_SimpleString(words[2]);
    printf("handlers kept: %d %d\n", kept(SIGINT), kept(SIGTERM));
    return failed != 0;
}
