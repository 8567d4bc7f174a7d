/** What a command needs of the caller before it runs. Nothing else is looked up. */
export interface Needs {
  /** The command writes to the caller's memory. */
  readonly memory?: true;
  /** The command checks the caller's capabilities. */
  readonly rights?: true;
  /** The command has no effect but its answer: it does no harm if the caller has stopped waiting. */
  readonly onlyAnswers?: true;
  /** The command is about the BPF object behind the caller's fd at this place in attr. */
  readonly object?: number;
}
