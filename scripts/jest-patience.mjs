// For suites that start servers: how long a test or a hook may take.
import { jest } from '@jest/globals';

jest.setTimeout(60_000);
