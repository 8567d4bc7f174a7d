/** What people know a container by: its id, and what its engine's annotations call it; null if they do not say. */
export interface ContainerLabels {
  readonly id: string;
  readonly pod: string | null;
  readonly podNamespace: string | null;
  readonly container: string | null;
}

/** 'default/web/nginx': as much of it as is known. '' if only the id is. */
export function containerTitle({ pod, podNamespace, container }: ContainerLabels): string {
  return [podNamespace, pod, container].filter((part) => part !== null).join('/');
}
