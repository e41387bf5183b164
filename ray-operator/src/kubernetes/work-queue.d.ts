/**
 * Keys that want work: each waits at most once, is worked on by one worker at a time, and comes again later the more
 * often it has failed. Several keys are worked on side by side.
 */
export interface QueueObserver {
  added(): void;
  depth(depth: number): void;
  waited(seconds: number): void;
  worked(seconds: number): void;
  retried(): void;
}
export interface WorkQueueOptions {
  concurrency: number;
  work: (key: string) => Promise<void>;
  /** A failure that `work` threw; the key comes again after `pauseMs`. */
  onFailure: (key: string, error: unknown, pauseMs: number) => void;
  observer?: QueueObserver;
  firstPauseMs?: number;
  longestPauseMs?: number;
}
export declare class WorkQueue {
  private readonly options;
  private readonly waiting;
  private readonly active;
  private readonly again;
  private readonly failures;
  private readonly timers;
  private running;
  private idle;
  constructor(options: WorkQueueOptions);
  start(): void;
  /** Takes up nothing more and waits for what is under way; what waits is kept. */
  stop(): Promise<void>;
  dispose(): void;
  get depth(): number;
  add(key: string): void;
  /** The earlier of two times wins. */
  addAfter(key: string, delayMs: number): void;
  private cancelTimer;
  private pump;
  private workOn;
}
